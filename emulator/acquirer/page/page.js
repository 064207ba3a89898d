// The host's page. One long poll brings what changed; the table that is looked at is asked for again when it may have changed.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};
const both = (zh, en) => [zh + " ", make("span", { lang: "en", text: en })];
const money = (fen) => (fen < 0 ? "-" : "") + Math.floor(Math.abs(fen) / 100).toLocaleString("en") + "." + String(Math.abs(fen) % 100).padStart(2, "0");
const two = (number) => String(number).padStart(2, "0");
const clock = (ms) => { const at = new Date(ms); return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":"); };
const day = (s) => { const at = new Date(s * 1000); return `${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(s * 1000)}`; };

// ---- words

const KINDS = {
  sale: "消费", void: "撤销", refund: "退货", preauth: "预授权", "preauth-add": "追加预授权", "preauth-void": "预授权撤销", complete: "预授权完成",
  "complete-notice": "完成通知", "complete-void": "完成撤销", balance: "余额查询", "offline-sale": "离线结算", adjust: "结算调整", tip: "小费调整", moto: "MOTO消费",
  instalment: "分期消费", upload: "脱机上送", reversal: "冲正", expiry: "预授权到期", "script-result": "脚本通知", "failed-chip": "失败芯片", "sign-on": "签到",
  "sign-off": "签退", echo: "回响测试", "master-key": "主密钥下载", settlement: "批结算", "batch-list": "批上送", "batch-chip": "芯片批上送",
  "batch-notice": "通知批上送", "batch-end": "批上送结束",
};
const STATES = {
  approved: ["有效", "good"], declined: ["已拒绝", "bad"], voided: ["已撤销", ""], reversed: ["已冲正", ""], adjusted: ["已调整", ""], completed: ["已完成", ""],
  expired: ["已到期", ""], asked: ["对账中", "mid"], settled: ["已结算", "good"],
};
const STATUSES = { active: "正常", lost: "挂失", stolen: "被盗", restricted: "受限", closed: "销户" };
const FLAGS = { 0: ["—", "", ""], 1: ["平", "balanced", "good"], 2: ["不平", "not balanced", "bad"], 3: ["出错", "error", "bad"] };
const DISPUTES = { "not-uploaded": ["终端未上送", "not uploaded"], "not-booked": ["主机无账", "not in the books"], amount: ["金额不同", "another amount"], card: ["卡号不同", "another card"] };
const CERTIFICATES = {
  good: ["有效证书", "good"], "wrong-name": ["名称不符", "for another name"], expired: ["已过期", "expired"], "self-made": ["自签名", "self-made"], "old-version": ["只用 TLS 1.1", "nothing newer than TLS 1.1"],
};
const REQUIREMENTS = [
  ["无", "none"], ["下载参数", "parameters"], ["上送状态", "status upload"], ["重新签到", "sign on again"], ["更新公钥", "card scheme keys"], ["更新IC卡参数", "card applications"],
  ["程序下载", "program"], ["下载黑名单", "black list"], ["币种汇率", "currency rates"], ["非接参数", "contactless limits"],
];
const CONDITIONS = [
  ["amount 12.51", "金额正好如此", "this amount, to the fen"], ["tail 51", "金额末位如此", "an amount that ends so"], ["card 0004", "卡号末四至六位", "a card number that ends so"],
  ["next [3]", "接下来的一条或几条", "the next message, or so many"], ["always", "每一条", "every message"],
];
const ACTIONS = {
  decline: "以此应答码拒绝，不记账", approve: "照常记账，以此成功码应答", silence: "记账，但不应答", ignore: "不记账，也不应答", partial: "最多批准此金额（应答码 10）", late: "立即记账，延迟应答",
  later: "记账，应答排在该终端下一笔应答之前到达", "cut-before": "断开连接，不记账", "cut-after": "记账后断开连接", "wrong-check": "下发的密钥校验值错误", "wrong-mac": "应答的 MAC 错误", "no-mac": "应答不带 MAC",
  "wrong-trace": "应答的流水号不符", "wrong-amount": "应答的金额多一分", "wrong-terminal": "应答的终端号不符", "wrong-merchant": "应答的商户号不符", "wrong-processing": "应答的处理码不符",
  "wrong-mti": "应答的报文类型不符", split: "应答分三段到达", merged: "旧应答与新应答粘连到达", twice: "应答到达两次", half: "应答只到一半即断线", garbage: "应答是无意义的字节", "wrong-arpc": "发卡行认证数据错误",
  "no-arpc": "不带发卡行认证数据", script: "下发脚本（最后密文之后执行）", "script-before": "下发脚本（最后密文之前执行）", "wrong-script": "下发 MAC 错误的脚本", unbalance: "对账时主机多一分", "settle-error": "对账应答标志为出错",
  expire: "预授权只保留这么久（秒）", require: "在报文头提出处理要求",
};
const TRAFFIC_KEPT = 400;
const PATIENCE_MS = 400; // between two looks at a table that keeps changing

// ---- talking to the host

async function get(path) {
  const reply = await fetch(path, { cache: "no-store" });
  const body = await reply.json();
  if (!reply.ok) throw new Error(body.error);
  return body;
}
let tail = Promise.resolve();
function post(path, body) {
  const sent = tail.then(async () => {
    const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!reply.ok) throw new Error((await reply.json()).error);
  });
  tail = sent.catch(() => {});
  return sent;
}
let fading = 0;
function complain(text) {
  $("toast").replaceChildren(...both(/Failed to fetch|NetworkError/.test(text) ? "主机没有应答" : "无法执行", text));
  $("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { $("toast").hidden = true; }, 4000);
}
const quietly = (promise) => promise.catch((error) => complain(error.message));

async function follow() {
  let number = 0, session = "", patience = 500;
  for (;;) {
    try {
      const state = await get("/api/state" + (number ? "?since=" + number : ""));
      if (session && state.session !== session) { number = 0; session = ""; $("traffic").replaceChildren(); continue; }
      const first = !number;
      session = state.session;
      number = state.number;
      patience = 500;
      $("gone").hidden = true;
      if (state.line) drawLine(state.line);
      if (state.rules) drawRules(state.rules);
      if (state.traffic) { drawTraffic(state.traffic); if (!first) lookAgain(); }
    } catch (error) {
      $("gone").hidden = false;
      await new Promise((done) => setTimeout(done, patience));
      patience = Math.min(patience * 2, 5000);
    }
  }
}

// ---- the line

function drawLine(line) {
  const pill = $("line");
  const odd = line.deaf || (line.tls && line.certificate !== "good");
  pill.className = "pill " + (line.down ? "off" : odd ? "odd" : "on");
  pill.replaceChildren(...(line.down ? both("线路断开", "down") : both(`${line.address}:${line.port}`, line.tls ? "TLS" : "no TLS")));
  $("counts").replaceChildren(...both(`连接 ${line.open.toLocaleString("en")}　报文 ${line.messages.toLocaleString("en")}`, "lines, messages"));
  const facts = [
    ["地址", "Address", `${line.address}  ${line.port}`], ["加密", "Encryption", line.tls ? "TLS" : "无 none"], ["当前连接", "Lines open", line.open.toLocaleString("en")],
    ["累计连接", "Lines so far", line.lines.toLocaleString("en")], ["收到报文", "Messages", line.messages.toLocaleString("en")], ["主动断开", "Lines dropped", line.dropped.toLocaleString("en")],
  ];
  $("facts").replaceChildren(...facts.flatMap(([zh, en, value]) => [make("dt", {}, ...both(zh, en)), make("dd", { text: value })]));
  for (const tick of document.querySelectorAll("[data-line]")) tick.checked = line[tick.dataset.line];
  $("tls").hidden = !line.tls;
  if ($("certificates").children.length !== line.certificates.length) {
    $("certificates").replaceChildren(...line.certificates.map((name) => {
      const [zh, en] = CERTIFICATES[name] || [name, ""];
      return make("label", name === "good" ? { class: "plain" } : {}, make("input", { type: "radio", name: "certificate", value: name, onchange: () => quietly(post("/api/line", { certificate: name })) }), zh + " ", make("span", { lang: "en", text: en }));
    }));
  }
  for (const choice of $("certificates").querySelectorAll("input")) choice.checked = choice.value === line.certificate;
  if (document.activeElement !== $("latency")) $("latency").value = line.latency_ms;
  $("requirement").value = line.requirement;
}
for (const tick of document.querySelectorAll("[data-line]")) tick.addEventListener("change", () => quietly(post("/api/line", { [tick.dataset.line]: tick.checked })));
$("requirement").append(...REQUIREMENTS.map(([zh, en], digit) => make("option", { value: digit, text: `${digit} ${zh} ${en}` })));
$("requirement").addEventListener("change", () => quietly(post("/api/line", { requirement: Number($("requirement").value) })));
$("latency").addEventListener("change", () => quietly(post("/api/line", { latency_ms: Math.round(Number($("latency").value)) })));

// ---- rules

let helped = false;
function drawRules(rules) {
  $("rules").replaceChildren(...rules.now.map((text) => make("li", {}, make("span", { text }), make("button", { type: "button", "aria-label": "取消 Remove: " + text, text: "×", onclick: () => quietly(post("/api/rule", { remove: text })) }))));
  if (!rules.now.length) $("rules").append(make("li", { class: "none" }, ...both("主机照常应答", "the host answers as usual")));
  $("rule-count").textContent = rules.now.length;
  $("rule-count").hidden = $("clear-rules").hidden = !rules.now.length;
  if (helped) return;
  helped = true;
  $("rule").placeholder = rules.examples[0] || "";
  $("examples").replaceChildren(...rules.examples.map((text) => make("button", { type: "button", text, onclick: () => { $("rule").value = text; $("rule").focus(); } })));
  $("conditions").replaceChildren(...CONDITIONS.flatMap(([code, zh, en]) => [make("dt", { text: code }), make("dd", {}, ...both(zh, en))]));
  $("kinds").replaceChildren(...rules.kinds.map((name) => make("span", {}, make("code", { text: name }), " " + (KINDS[name] || ""))));
  $("actions").replaceChildren(...Object.entries(rules.actions).flatMap(([name, [value, en]]) => [make("dt", { text: value ? `${name} ${value.toUpperCase()}` : name }), make("dd", {}, ...both(ACTIONS[name] || "", en))]));
}
$("rule-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("rule-error").textContent = "";
  try { await post("/api/rule", { add: $("rule").value || $("rule").placeholder }); $("rule").value = ""; } catch (error) { $("rule-error").textContent = error.message; }
});
$("clear-rules").addEventListener("click", () => quietly(post("/api/rule", { clear: true })));

// ---- traffic

const ARROWS = { in: "→", out: "←", closed: "×" };
const codeTag = (code) => (code ? make("span", { class: "tag " + (/^(00|10|11|A2|A4|A5|A6)$/.test(code) ? "good" : "bad"), text: code }) : "");
function drawTraffic(messages) {
  const list = $("traffic"), atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const one of messages) {
    const what = one.way === "closed" ? [make("span", { class: "what" }, ...both("断开连接", one.note))] : [
      make("span", { class: "who", text: one.terminal }),
      make("span", { class: "what" }, ...both(one.title[0], one.title[1]), ...(one.note ? [make("span", { class: "note", text: ` [${one.note}]` })] : [])),
      make("span", { class: "sum", text: one.way !== "in" || one.amount_fen === null ? "" : money(one.amount_fen) }),
      one.way === "out" ? codeTag(one.code) : make("span", { class: "who", text: one.trace }),
    ];
    const row = make("summary", {}, make("time", { text: clock(one.at_ms) }), make("span", { class: "arrow", text: ARROWS[one.way] }), ...what);
    const item = make("li", { "data-way": one.way }, one.lines ? make("details", {}, row, make("pre", { text: one.lines.join("\n") })) : row);
    item.hidden = !wanted(item);
    list.append(item);
  }
  while (list.children.length > TRAFFIC_KEPT) list.firstChild.remove();
  $("no-traffic").hidden = list.children.length > 0;
  if (atEnd) list.scrollTop = list.scrollHeight;
}
const wanted = (item) => item.textContent.toLowerCase().includes($("filter").value.trim().toLowerCase());
$("filter").addEventListener("input", () => { for (const item of $("traffic").children) item.hidden = !wanted(item); $("traffic").scrollTop = $("traffic").scrollHeight; });
$("clear-traffic").addEventListener("click", () => { $("traffic").replaceChildren(); $("no-traffic").hidden = false; });

// ---- tables: a column is [Chinese, English, what is in it, class]

const kind = (name) => [KINDS[name] || name, make("small", { text: name })];
const state = (name) => { const [zh, look] = STATES[name] || [name, ""]; return [make("span", { class: "tag " + look, title: name, text: zh })]; };
const number = (text) => text || "—";
const KIND_OF_BATCH = (open) => Object.entries(open).map(([name, [count, fen]]) => `${KINDS[name] || name} ${count} × ${money(fen)}`).join("，");
const TABLES = {
  transactions: {
    tab: ["交易", "Transactions"], hint: ["每个终端问过什么，账上还剩什么。", "What terminals asked for, and what of it stands."], find: "终端号、凭证号、参考号、卡号末四位",
    columns: [
      ["时间", "Time", (row) => [day(row.at_s)], "number"], ["终端", "Terminal", (row) => [row.terminal, make("small", { text: row.batch + " / " + row.trace })], "number"], ["交易", "Kind", (row) => kind(row.kind)],
      ["卡号", "Card", (row) => [number(row.card)], "number"], ["金额", "Amount", (row) => [money(row.amount_fen)], "money"], ["应答", "Code", (row) => [codeTag(row.code)]], ["状态", "State", (row) => state(row.state)],
      ["参考号", "Reference", (row) => [row.reference, make("small", { text: row.authorisation })], "number"],
    ],
    undone: (row) => !["approved"].includes(row.state),
  },
  cards: {
    tab: ["卡片", "Cards"], hint: ["可用余额是账上余额减去预授权冻结；点“明细”看流水。", "What a card can spend: its balance less what is held."], find: "卡号末四位",
    columns: [
      ["卡号", "Card", (row) => [row.card, make("small", { text: row.name })], "number"], ["可用", "Available", (row) => [money(row.available_fen)], "money"], ["冻结", "Held", (row) => [money(row.held_fen)], "money"],
      ["状态", "Status", (row) => [statusOf(row)]], ["密码错误", "Wrong PINs", (row) => [String(row.wrong_pins)]], ["", "", (row, line) => [fold(line, () => entries("card=" + row.handle))]],
    ],
  },
  merchants: {
    tab: ["商户", "Merchants"], hint: ["各商户入账合计。", "What each merchant has been credited."], find: "商户号",
    columns: [
      ["商户", "Merchant", (row) => [row.number], "number"], ["终端数", "Terminals", (row) => [row.terminals.toLocaleString("en")], "money"], ["入账", "Takings", (row) => [money(row.takings_fen)], "money"],
      ["", "", (row, line) => [fold(line, () => entries("merchant=" + encodeURIComponent(row.number)))]],
    ],
  },
  holds: {
    tab: ["预授权", "Holds"], hint: ["冻结在卡上的金额，至完成、撤销或到期。", "Money held until it is completed, voided, or its time is over."], find: "授权码、卡号末四位",
    columns: [
      ["卡号", "Card", (row) => [row.card], "number"], ["商户", "Merchant", (row) => [row.merchant], "number"], ["授权码", "Authorisation", (row) => [row.authorisation], "number"], ["日期", "Date", (row) => [row.date], "number"],
      ["金额", "Amount", (row) => [money(row.amount_fen)], "money"], ["到期", "Expires", (row) => [day(row.expires_s)], "number"], ["状态", "State", (row) => state(row.state)],
    ],
    undone: (row) => row.state !== "approved",
  },
  settlements: {
    tab: ["结算", "Settlements"], hint: ["终端报的总额与主机账上的总额；不平时列出差异。", "The terminal's totals beside the host's, and where they differ, in what."], find: "终端号",
    columns: [
      ["时间", "Time", (row) => [day(row.at_s)], "number"], ["终端", "Terminal", (row) => [row.terminal, make("small", { text: row.batch })], "number"], ["状态", "State", (row) => state(row.state)],
      ["银联卡", "UnionPay cards", (row) => half(row.halves[0])], ["其他卡", "Other cards", (row) => half(row.halves[1])], ["上送", "Uploaded", (row) => [row.uploaded.toLocaleString("en")], "money"],
      ["差异", "Disputes", (row, line) => [row.disputes.length ? fold(line, async () => disputes(row.disputes), `${row.disputes.length} ▾`) : "—"]],
    ],
  },
  terminals: {
    tab: ["终端", "Terminals"], hint: ["最近有应答的排在前面。", "Those that were answered last come first."], find: "终端号",
    columns: [
      ["终端", "Terminal", (row) => [row.number, make("small", { text: row.merchant })], "number"], ["签到", "Signed on", (row) => [make("span", { class: "tag " + (row.signed_on ? "good" : ""), text: row.signed_on ? "已签到 yes" : "未签到 no" })]],
      ["批次", "Batch", (row) => [String(row.batch).padStart(6, "0")], "number"], ["密钥", "Keys", (row) => [row.keys]],
      ["最近应答", "Last answer", (row) => (row.last ? [row.last.title[0] + " ", codeTag(row.last.code), make("small", { text: day(row.last.at_s) })] : ["—"])], ["本批", "Open batch", (row) => [KIND_OF_BATCH(row.open) || "—"]],
    ],
  },
};

function statusOf(row) {
  const choice = make("select", { "aria-label": "状态 Status " + row.card, onchange: () => quietly(post("/api/card", { card: row.handle, status: choice.value })) }, ...Object.entries(STATUSES).map(([name, zh]) => make("option", { value: name, text: `${zh} ${name}` })));
  choice.value = row.status;
  return choice;
}
function half({ claimed, booked, flag }) {
  const [zh, en, look] = FLAGS[flag] || FLAGS[0];
  const sums = ([debit, debits, credit, credits]) => `借 ${debits} × ${money(debit)}　贷 ${credits} × ${money(credit)}`;
  if (![...claimed, ...booked].some(Boolean)) return ["—"];
  return [make("span", { class: "tag " + look }, ...both(zh, en)), make("small", { text: "终端 " + sums(claimed) }), make("small", { text: "主机 " + sums(booked) })];
}
const inner = (heads, rows) => make("table", {}, make("tr", {}, ...heads.map(([zh, en, look]) => make("th", { class: look || "", scope: "col" }, ...both(zh, en)))), ...rows);
function disputes(rows) {
  return inner([["凭证号", "Trace"], ["卡号", "Card"], ["差异", "What"], ["主机", "Host", "money"], ["终端", "Terminal", "money"]], rows.map((row) => make("tr", {},
    make("td", { class: "number", text: row.trace }), make("td", { class: "number", text: row.card }), make("td", {}, ...both(...(DISPUTES[row.what] || [row.what, ""]))),
    make("td", { class: "money", text: row.booked_fen === null ? "—" : money(row.booked_fen) }), make("td", { class: "money", text: row.uploaded_fen === null ? "—" : money(row.uploaded_fen) }))));
}
async function entries(whose) {
  const { rows } = await get("/api/statement?" + whose);
  if (!rows.length) return make("p", { class: "hint" }, ...both("没有流水", "no entries"));
  return inner([["时间", "Time"], ["终端", "Terminal"], ["凭证号", "Trace"], ["交易", "Kind"], ["金额", "Amount", "money"]], rows.map((row) => make("tr", {},
    make("td", { class: "number", text: day(row.at_s) }), make("td", { class: "number", text: row.terminal }), make("td", { class: "number", text: row.trace }), make("td", { text: KINDS[row.kind] || row.kind }), make("td", { class: "money", text: money(row.amount_fen) }))));
}
function fold(line, content, text = "明细 ▾") {
  return make("button", { type: "button", class: "fold", "aria-expanded": "false", title: "明细 Details", text, onclick: async (event) => {
    const button = event.currentTarget;
    if (line.nextSibling && line.nextSibling.className === "inner") { line.nextSibling.remove(); button.setAttribute("aria-expanded", "false"); return; }
    button.setAttribute("aria-expanded", "true");
    try {
      const room = make("td", { colspan: String(line.children.length) }, await content());
      line.after(make("tr", { class: "inner" }, room));
    } catch (error) { button.setAttribute("aria-expanded", "false"); complain(error.message); }
  } });
}

let shown = "", asked = 0, waiting = 0;
function drawTable(name, { rows, more }) {
  const table = TABLES[name];
  const heads = make("thead", {}, make("tr", {}, ...table.columns.map(([zh, en, , look]) => make("th", { class: look || "", scope: "col" }, ...both(zh, en)))));
  const lines = rows.map((row) => {
    const line = make("tr", table.undone && table.undone(row) ? { class: "undone" } : {});
    line.append(...table.columns.map(([, , cell, look]) => make("td", { class: look || "" }, ...cell(row, line))));
    return line;
  });
  const place = $("table").scrollTop;
  $("table").replaceChildren(rows.length ? make("table", {}, heads, make("tbody", {}, ...lines)) : make("p", { class: "empty" }, ...both("没有记录", "nothing here")));
  $("table").scrollTop = place;
  $("more").hidden = !more;
}
// A table is not drawn anew under the hands of who has opened something in it.
const inUse = () => $("table").querySelector("[aria-expanded=true], select:focus") !== null;
async function look(again) {
  const name = shown, mine = ++asked;
  clearTimeout(waiting);
  waiting = 0;
  if (again && inUse()) return;
  try {
    const found = await get(`/api/table?name=${name}&find=${encodeURIComponent($("find").value.trim())}`);
    if (mine === asked && !(again && inUse())) drawTable(name, found);
  } catch (error) { if (!again) complain(error.message); }
}
function lookAgain() { if (!waiting) waiting = setTimeout(() => look(true), PATIENCE_MS); }

for (const [name, { tab: [zh, en] }] of Object.entries(TABLES)) {
  $("tables").append(make("button", { type: "button", role: "tab", id: "tab-" + name, "aria-controls": "pane-table", "aria-selected": "false" }, ...both(zh, en)));
}
function choose(name) {
  shown = name;
  $("table-hint").replaceChildren(...both(...TABLES[name].hint));
  $("find").value = "";
  $("find").placeholder = "查找 find";
  $("find").title = TABLES[name].find;
  $("pane-table").setAttribute("aria-labelledby", "tab-" + name);
  $("table").replaceChildren();
  $("table").scrollTop = 0;
  look(false);
}
$("find").addEventListener("input", () => look(false));

for (const list of document.querySelectorAll("[role=tablist]")) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const open = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      if (list.id !== "tables") $(other.getAttribute("aria-controls")).hidden = other !== tab;
    }
    if (list.id === "tables") choose(tab.id.slice(4));
    if (tab.id === "tab-traffic") $("traffic").scrollTop = $("traffic").scrollHeight;
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { const next = tabs[(i + step + tabs.length) % tabs.length]; open(next); next.focus(); }
    });
  });
  open(tabs[0]);
}

follow();
