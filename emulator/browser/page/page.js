// The handheld's page. It knows nothing that the HTTP API does not say: one long poll brings what changed, and what a
// person does goes out as one POST. State is drawn section by section, so a key costs one canvas, not a page.
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

// ---- tables: what is on the panel and what it is called

const KEYS = [
  // token, face, word below, class, keyboard
  ["1", "1", "", "", ["1"]], ["2", "2", "", "", ["2"]], ["3", "3", "", "", ["3"]], ["CANCEL", "取消", "CANCEL", "word cancel", ["Escape"]],
  ["4", "4", "", "", ["4"]], ["5", "5", "", "five", ["5"]], ["6", "6", "", "", ["6"]], ["BACK", "退格", "BACK", "word back", ["Backspace"]],
  ["7", "7", "", "", ["7"]], ["8", "8", "", "", ["8"]], ["9", "9", "", "", ["9"]], ["CLEAR", "清除", "CLEAR", "word clear", ["Delete"]],
  [".", "00", "", "", [".", "*", "Decimal"]], ["0", "0", "", "", ["0"]], ["DOWN", "▼", "NEXT", "word down-key", ["ArrowDown", "ArrowRight"]], ["ENTER", "确认", "ENTER", "word enter", ["Enter"]],
];
const FAULTS = [
  ["paper-out", "缺纸", "Paper out"], ["low-paper", "纸将用完", "Paper runs low"], ["cover-open", "纸仓盖未合", "Printer cover open"],
  ["hot", "打印头过热", "Print head too hot"], ["printer-silent", "打印机无响应", "Printer silent"], ["line-down", "网络断开", "Line to the host down"],
  ["tls-wrong-name", "证书名称不符", "Certificate for another name"], ["tls-expired", "证书过期", "Certificate expired"], ["tls-self-made", "证书自签名", "Certificate self-made"],
  ["reader-silent", "感应区无响应", "Contactless reader silent"], ["chip-gone", "插卡口失联", "Chip slot gone"], ["stripe-gone", "刷卡槽失联", "Stripe reader gone"], ["display-gone", "屏幕断线", "Display gone"],
];
const MODEM_FAULTS = [
  ["modem-gone", "模块消失", "Gone, with its port"], ["modem-silent", "没有响应", "Silent"], ["modem-noise", "线路有杂波", "Noise on the line"], ["modem-storm", "不停上报", "Unsolicited lines without end"],
];
const REGISTERED = { home: ["已登记", "registered"], roaming: ["漫游", "roaming"], searching: ["搜索网络", "searching"], denied: ["被拒绝", "denied"], off: ["未登记", "not registered"] };
const MODULE = { off: ["模块未通电", "no power"], booting: ["模块启动中", "starting"], gone: ["模块不在", "gone"], silent: ["模块无响应", "silent"] };
const SIM = { ready: ["正常", "ready"], pin: ["等待 PIN（1234）", "wants its PIN, 1234"], puk: ["已锁，等待 PUK", "locked, wants its PUK"], absent: ["未插", "not in"], busy: ["读取中", "being read"] };
const TIMES = [["time-right", "right", "时间正确", "Time right"], ["time-wrong", "wrong", "时间错误", "Time wrong"], ["time-absent", "absent", "不报时间", "No time"]];
const SOCKETS = { opening: ["连接中", "opening"], open: ["已连接", "open"], ended: ["对方已断开", "ended by its peer"] };
const KINDS = [["wire", "芯片"], ["panel", "屏幕"], ["apdu", "卡片"], ["iso8583", "报文"], ["modem", "4G"], ["key", "按键"], ["power", "电源"], ["terminal", "程序"]];
const QUIET = ["panel"]; // every digit crosses the display's bus several times: shown on request, or when a filter finds it
const WORDS = { sale: "消费", void: "撤销", balance: "余额查询", reversal: "冲正", approved: "成功", declined: "已拒绝", voided: "已撤销", reversed: "已冲正" };
const POWER = { on: ["已开机", "on"], off: ["已关机", "off"], crashed: ["已崩溃", "crashed"] };
const LOG_KEPT = 1500;

// ---- talking to the emulator

let tail = Promise.resolve(); // what a person does arrives in the order in which it was done
function post(path, body) {
  const sent = tail.then(async () => {
    const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!reply.ok) throw new Error((await reply.json()).error);
  });
  tail = sent.catch(() => {});
  return sent;
}
const quietly = (promise) => promise.catch((error) => complain(error.message));

let typed = []; // keys wait here while the ones before them travel
function press(token) {
  typed.push(token);
  if (typed.length === 1) {
    tail = tail.then(async () => {
      const keys = typed.join(" ");
      typed = [];
      const reply = await fetch("/api/keys", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ keys }) });
      if (!reply.ok) complain((await reply.json()).error);
    }).catch(() => {});
  }
  wakeSound();
}

async function follow() {
  let number = 0, session = "", patience = 500;
  for (;;) {
    try {
      const reply = await fetch("/api/state" + (number ? "?since=" + number : ""), { cache: "no-store" });
      if (!reply.ok) throw new Error(String(reply.status));
      const state = await reply.json();
      if (session && state.session !== session) { number = 0; session = ""; heard = null; $("log").replaceChildren(); continue; }
      session = state.session;
      number = state.number;
      patience = 500;
      $("gone").hidden = true;
      for (const [name, draw] of Object.entries(DRAW)) if (name in state) draw(state[name], state);
    } catch (error) {
      $("gone").hidden = false;
      await new Promise((done) => setTimeout(done, patience));
      patience = Math.min(patience * 2, 5000);
      number = 0;
      heard = null;
    }
  }
}

function say(text) { $("spoken").textContent = text; }
let fading = 0;
const COMPLAINTS = [
  [/^two cards/, "感应区最多放两张卡"], [/in the slot already/, "插卡口里已有一张卡"], [/cannot be tapped/, "此卡不能挥卡"], [/no contacts/, "此卡没有芯片触点"], [/no stripe/, "此卡没有磁条"],
  [/Failed to fetch|NetworkError/, "模拟器没有应答"],
];
function complain(text) {
  const [, zh] = COMPLAINTS.find(([pattern]) => pattern.test(text)) || [null, "无法执行"];
  $("toast").replaceChildren(...both(zh, text));
  $("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { $("toast").hidden = true; }, 4000);
}

// ---- drawing, one function a section of the state

const DRAW = { power: drawPower, screen: drawScreen, leds: drawLamps, sounds: hear, paper: drawPaper, cards: drawCards, faults: drawFaults, rules: drawRules, stop: drawStop, books: drawBooks, radio: drawRadio, log: drawLog };

function drawPower(power) {
  const [zh, en] = POWER[power] || [power, power];
  $("device").dataset.power = power;
  $("link").className = "pill " + power;
  $("link").replaceChildren(...both(zh, en));
  $("power").setAttribute("aria-pressed", String(power === "on"));
  isOn = power === "on";
  $("plug").hidden = power === "off";
  $("crash").hidden = !isOn;
  $("dark-hint").hidden = isOn;
  $("dark-hint").replaceChildren(...(power === "crashed" ? both("或按电源键重启", "or power on") : both("按机身右侧的电源键开机", "Press the power button on the right")));
}
let isOn = false;

function drawScreen(screen) {
  const canvas = $("screen");
  if (canvas.width !== screen.width || canvas.height !== screen.height) { canvas.width = screen.width; canvas.height = screen.height; }
  const context = canvas.getContext("2d", { willReadFrequently: true }); // a few pixels: drawn without the graphics card
  const picture = context.createImageData(screen.width, screen.height);
  const dots = new Uint32Array(picture.data.buffer);
  const lit = 0xffffe1a9, dark = 0xff080503; // ABGR
  screen.pixels.forEach((row, y) => {
    for (let x = 0; x < screen.width; x++) dots[y * screen.width + x] = (parseInt(row[x >> 2], 16) >> (3 - (x & 3))) & 1 ? lit : dark;
  });
  context.putImageData(picture, 0, 0);
  const words = screen.lines.join(" · ");
  canvas.setAttribute("aria-label", "屏幕 Screen: " + (words || "（黑屏 dark）"));
  say(screen.lines.join("，"));
}

function drawLamps(leds) {
  const names = Object.keys(leds);
  const box = $("lamps");
  if (box.children.length !== names.length) box.replaceChildren(...names.map((_, i) => make("i", {})));
  names.forEach((name, i) => box.children[i].classList.toggle("lit", leds[name]));
  box.setAttribute("aria-label", "指示灯 Lamps: " + (names.filter((name) => leds[name]).join(" ") || "—"));
}

// The paper hangs out of the slot; what was torn off lies among the slips.
const strip = { number: 0, url: "" };
async function drawPaper(paper) {
  drawSlips(paper.torn);
  strip.number = paper.number;
  if (!paper.dots) { $("paper").hidden = true; return; }
  const reply = await fetch("/api/paper.png?now=" + paper.number, { cache: "no-store" });
  const url = URL.createObjectURL(await reply.blob());
  if (strip.number !== paper.number) { URL.revokeObjectURL(url); return; } // there is newer paper on its way
  const picture = $("paper-picture"), sheet = $("paper"), before = sheet.hidden ? 0 : sheet.offsetHeight;
  picture.src = url;
  picture.alt = paper.text;
  await picture.decode().catch(() => {});
  if (strip.url) URL.revokeObjectURL(strip.url);
  strip.url = url;
  sheet.hidden = false;
  sheet.classList.remove("moving");
  sheet.style.marginTop = Math.max(0, sheet.offsetHeight - before) + "px"; // new paper comes up out of the slot
  sheet.getBoundingClientRect();
  sheet.classList.add("moving");
  sheet.style.marginTop = "0";
}

let slips = null; // numbers shown; null until the first answer
function drawSlips(torn) {
  if (slips && torn.some((number) => !slips.includes(number)) && !$("paper").hidden) {
    const gone = $("paper").cloneNode(true);
    for (const node of [gone, ...gone.querySelectorAll("[id]")]) node.removeAttribute("id");
    gone.classList.add("leaving");
    $("outlet").append(gone);
    $("paper").hidden = true;
    requestAnimationFrame(() => gone.classList.add("torn"));
    setTimeout(() => gone.remove(), 450);
  }
  if (slips && String(slips) === String(torn)) return;
  slips = torn;
  $("slip-count").textContent = torn.length;
  $("slip-count").hidden = !torn.length;
  $("no-slips").hidden = torn.length > 0;
  $("slips").replaceChildren(...torn.slice().reverse().map((number) => {
    const slip = make("button", { type: "button", class: "slip", title: "放大 enlarge", "aria-label": "小票 Slip " + number, onclick: () => slip.classList.toggle("large") }, make("img", { src: "/api/paper.png?torn=" + number, alt: "小票 Slip " + number }));
    return slip;
  }));
}

// The cards stand in groups; the chosen one shows its face and what can be done with it. The rows are made once and then
// kept up to date, so that neither focus nor place on the page is lost.
const ACTS = [
  // act, word, its symbol, the field of the request; where a card is that can be taken back, by which word and request
  { act: "tap", zh: "挥卡", en: "Tap", sign: "waves", ask: (name) => ({ place: name }), home: "reader", back: ["拿开", "Away"], undo: (name) => ({ remove: name }) },
  { act: "insert", zh: "插卡", en: "Insert", sign: "chip-mark", ask: (name) => ({ insert: name }), home: "slot", back: ["拔卡", "Pull"], undo: () => ({ pull: true }) },
  { act: "swipe", zh: "刷卡", en: "Swipe", sign: "stripe-mark", ask: (name) => ({ swipe: name }) },
];
const MISSING = { tap: ["不能挥", "cannot be tapped"], insert: ["没有芯片触点", "has no contacts"], swipe: ["没有磁条", "has no stripe"] };
const titles = {}; // what a card is called, by its name
const shelf = { cards: {}, rows: {}, groups: [], chosen: null }; // by name: what the API says; what is drawn

function drawCards(cards) {
  cards.forEach((card, look) => {
    card.look = card.bank ? look % 7 : 7;
    titles[card.name] = card.title.replace(/ [A-Za-z].*/, "");
    shelf.cards[card.name] = card;
  });
  if (String(Object.keys(shelf.rows)) !== String(cards.map((card) => card.name))) stackShelf(cards);
  for (const card of cards) {
    const { row, hand } = shelf.rows[card.name];
    row.dataset.place = card.place;
    row.setAttribute("aria-label", `${card.title} ${card.name}: ${card.shows.join(" ")}${card.place === "shelf" ? "" : card.place === "slot" ? " 在插卡口 in the slot" : " 在感应区 on the reader"}`);
    if (hand.childElementCount) fillHand(card);
  }
  lay($("landed"), cards.filter((card) => card.place === "reader"), "拿开 take away");
  lay($("inserted"), cards.filter((card) => card.place === "slot"), "拔卡 pull it out");
  $("mouth").classList.toggle("taken", cards.some((card) => card.place === "slot"));
}

// The cards that lie in one place of the device: those that are there already stay.
function lay(box, cards, word) {
  for (const there of [...box.children]) if (!cards.some((card) => card.name === there.dataset.card)) there.remove();
  for (const card of cards) {
    if ([...box.children].some((there) => there.dataset.card === card.name)) continue;
    const picture = face(card, "button");
    picture.dataset.card = card.name;
    picture.setAttribute("aria-label", `${card.title} ${card.number}: ${word}`);
    carry(picture, card.name, () => goBack(card.name));
    box.append(picture);
  }
}

function face(card, tag = "div") {
  const picture = make(tag, { class: "bankcard", "data-look": card.look }, make("b", { text: titles[card.name] }), make("small", { text: card.name }), make("span", { class: "number", text: card.number }));
  if (tag === "button") picture.type = "button";
  if (card.acts.includes("insert")) picture.append(symbol("chip", "chip"));
  if (card.acts.includes("tap")) picture.append(symbol("waves", "mark"));
  return picture;
}

function stackShelf(cards) {
  const named = new Map();
  for (const card of cards) named.set(card.group[0], [...(named.get(card.group[0]) || []), card]);
  shelf.rows = {};
  shelf.groups = [...named.values()].map((members, i) => {
    const [zh, en] = members[0].group;
    const summary = make("summary", {}, ...both(zh, en), make("span", { class: "many", text: members.length }));
    const group = make("details", { class: "group" }, summary, ...members.map(stackCard));
    group.open = i === 0;
    summary.addEventListener("click", (event) => { event.preventDefault(); openGroup(group, !group.open); if (event.detail) summary.blur(); });
    return group;
  });
  $("cards").replaceChildren(...shelf.groups);
  choose(shelf.chosen in shelf.cards ? shelf.chosen : cards[0].name);
}

function stackCard(card) {
  const signs = make("span", { class: "signs", "aria-hidden": "true" }, ...ACTS.map(({ act, sign }) => symbol(sign, card.acts.includes(act) ? "" : "none")));
  const row = make("button", { type: "button", class: "row", "data-card": card.name, "data-look": card.look, "aria-expanded": "false", title: card.shows[1] }, make("b", { text: titles[card.name] }), signs, make("small", { text: card.shows[0] || card.name }));
  const hand = make("div", { class: "hand" });
  carry(row, card.name, () => choose(shelf.chosen === card.name ? null : card.name));
  shelf.rows[card.name] = { row, hand };
  return make("div", { class: "card" }, row, hand);
}

function openGroup(group, open) {
  if (open && !$("find").value) for (const other of shelf.groups) other.open = other === group;
  group.open = open;
}

function choose(name) {
  if (shelf.chosen && shelf.chosen !== name && shelf.rows[shelf.chosen]) closeHand(shelf.chosen);
  if (name === null && shelf.chosen) closeHand(shelf.chosen);
  shelf.chosen = name;
  if (!name) return;
  const { row } = shelf.rows[name];
  openGroup(row.closest("details"), true);
  row.setAttribute("aria-expanded", "true");
  fillHand(shelf.cards[name]);
  row.parentElement.scrollIntoView({ block: "nearest" });
}
function closeHand(name) {
  shelf.rows[name].row.setAttribute("aria-expanded", "false");
  shelf.rows[name].hand.replaceChildren();
}

// What can be done with the chosen card.
function fillHand(card) {
  const { hand } = shelf.rows[card.name];
  if (!hand.childElementCount) {
    const picture = face(card);
    carry(picture, card.name, () => {});
    hand.append(picture, make("p", { class: "shows", lang: "en", text: card.shows[1] }), make("div", { class: "acts" }, ...ACTS.map(({ act, sign }) => {
      const button = make("button", { type: "button", "data-act": act }, symbol(sign, "sign"), make("b", {}), make("span", { lang: "en" }));
      button.disabled = !card.acts.includes(act);
      if (button.disabled) button.title = "此卡" + MISSING[act].join(" ");
      button.addEventListener("click", (event) => { doAct(act, card.name); if (event.detail) button.blur(); });
      return button;
    })));
    if (card.bank) hand.append(make("button", { type: "button", class: "holder", title: "持卡人输入密码 The holder types the PIN of this card", onclick: (event) => { press("PIN:" + card.name); if (event.detail) event.currentTarget.blur(); } }, ...both("持卡人输密", "type its PIN")));
  }
  hand.dataset.place = card.place;
  for (const button of hand.querySelectorAll("[data-act]")) {
    const { zh, en, home, back } = ACTS.find(({ act }) => act === button.dataset.act);
    const words = home && card.place === home ? back : [zh, en];
    button.querySelector("b").textContent = words[0];
    button.querySelector("span").textContent = words[1];
    button.classList.toggle("back", words === back);
  }
}

function doAct(act, name) {
  const { ask, home, undo } = ACTS.find((one) => one.act === act);
  if (home && shelf.cards[name].place === home) { goBack(name); return; }
  quietly(post("/api/card", ask(name)).then(() => { if (act === "swipe") slide(name); }));
  wakeSound();
  if (matchMedia("(max-width: 760px)").matches) $("device").scrollIntoView({ block: "center" }); // the cards lie below it
}
function goBack(name) {
  const way = ACTS.find(({ home }) => home && home === shelf.cards[name].place);
  if (way) quietly(post("/api/card", way.undo(name)));
  wakeSound();
}
function slide(name) {
  const picture = face(shelf.cards[name]);
  $("slide").replaceChildren(picture);
  setTimeout(() => picture.remove(), 450);
}

// Rows are found by words, and walked with the arrow keys.
$("find").addEventListener("input", () => {
  const sought = $("find").value.trim().toLowerCase();
  for (const group of shelf.groups) {
    let found = 0;
    for (const { row } of Object.values(shelf.rows).filter(({ row }) => group.contains(row))) {
      const card = shelf.cards[row.dataset.card];
      const fits = [card.title, card.name, ...card.group, ...card.shows].join(" ").toLowerCase().includes(sought);
      row.parentElement.hidden = !fits;
      found += fits;
    }
    group.hidden = !found;
    group.open = sought ? found > 0 : group.contains((shelf.rows[shelf.chosen] || {}).row || null);
  }
});
$("find").addEventListener("keydown", (event) => {
  const first = $("cards").querySelector("details[open]:not([hidden]) .card:not([hidden]) .row");
  if (first && (event.key === "Enter" || event.key === "ArrowDown")) { event.preventDefault(); first.focus(); if (event.key === "Enter") choose(first.dataset.card); }
});
$("cards").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches("summary, .row")) return;
  event.preventDefault();
  const stops = [...$("cards").querySelectorAll("summary, .row")].filter((node) => node.checkVisibility());
  const next = stops[stops.indexOf(event.target) + step];
  if (next) next.focus();
});

function symbol(name, className) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), use = document.createElementNS(ns, "use");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#" + name);
  svg.append(use);
  return svg;
}

// A card is dragged onto the reader, into the slot, along the groove, or away; `click` is what a click on it does.
const TARGETS = [
  // act, element, how far beside it still counts: left and right, above, below
  ["swipe", "groove", 22, 20, 20], ["insert", "mouth", 20, 26, 30], ["tap", "reader", 8, 60, 20],
];
const ALONG = 60; // pixels along the groove that are a swipe
function carry(picture, name, click) {
  let from = null, ghost = null, entered = null, swiped = false;
  const under = (event) => (TARGETS.find(([, id, beside, above, below]) => {
    const box = $(id).getBoundingClientRect();
    return event.clientX > box.left - beside && event.clientX < box.right + beside && event.clientY > box.top - above && event.clientY < box.bottom + below;
  }) || [null])[0];
  const show = (act) => {
    for (const [one, id] of TARGETS) {
      $(id).classList.toggle("target", act === one && shelf.cards[name].acts.includes(one));
      $(id).classList.toggle("refused", act === one && !shelf.cards[name].acts.includes(one));
    }
  };
  const drop = () => { if (ghost) ghost.remove(); ghost = from = entered = null; swiped = false; picture.style.opacity = ""; show(null); };
  picture.addEventListener("pointerdown", (event) => { if (event.button === 0) from = { x: event.clientX, y: event.clientY, id: event.pointerId }; });
  picture.addEventListener("pointermove", (event) => {
    if (!from || event.pointerId !== from.id) return;
    if (!ghost && Math.hypot(event.clientX - from.x, event.clientY - from.y) > 7) {
      picture.setPointerCapture(from.id);
      ghost = face(shelf.cards[name]);
      ghost.classList.add("flying");
      document.body.append(ghost);
      picture.style.opacity = ".35";
    }
    if (!ghost) return;
    ghost.style.left = event.clientX - 95 + "px";
    ghost.style.top = event.clientY - 46 + "px";
    const act = under(event);
    show(act);
    if (act !== "swipe") entered = null;
    else if (entered === null) entered = event.clientY;
    else if (!swiped && Math.abs(event.clientY - entered) > ALONG) { swiped = true; doAct("swipe", name); }
  });
  picture.addEventListener("pointerup", (event) => {
    if (ghost) {
      const act = under(event), place = shelf.cards[name].place, there = (ACTS.find((one) => one.act === act) || {}).home;
      if (act === "swipe") { if (!swiped) doAct("swipe", name); }
      else if (act) { if (there !== place) doAct(act, name); }
      else if (place !== "shelf" && !swiped) goBack(name);
      picture.dataset.dragged = "1";
    }
    drop();
  });
  picture.addEventListener("pointercancel", drop);
  picture.addEventListener("click", (event) => {
    if (picture.dataset.dragged) { delete picture.dataset.dragged; return; }
    click();
    if (event.detail) picture.blur(); // by mouse: the keyboard goes back to the keypad
    wakeSound();
  });
}

function drawFaults(faults) {
  const rest = Object.keys(faults).filter((name) => ![...FAULTS, ...MODEM_FAULTS].some((row) => row[0] === name)).map((name) => [name, name, ""]);
  for (const [box, rows] of [[$("faults"), FAULTS.concat(rest)], [$("modem-faults"), MODEM_FAULTS]]) {
    const named = rows.filter(([name]) => name in faults);
    if (box.children.length !== named.length) {
      box.replaceChildren(...named.map(([name, zh, en]) => {
        const tick = make("input", { type: "checkbox", "data-fault": name, onchange: () => quietly(post("/api/fault", { name, on: tick.checked })) });
        return make("label", {}, tick, zh + " ", make("span", { lang: "en", text: en }));
      }));
    }
    for (const tick of box.querySelectorAll("input")) tick.checked = faults[tick.dataset.fault];
  }
}

// ---- the mobile network

// A group of switches is made once; `now` says of each row's name whether it is on.
function switches(box, kind, rows, now) {
  if (box.childElementCount !== rows.length) {
    box.replaceChildren(...rows.map(([name, type, zh, en, ask]) => {
      const tick = make("input", { type, "data-radio": name, onchange: () => quietly(post("/api/radio", ask(tick.checked))) });
      if (type === "radio") tick.name = kind;
      return make("label", {}, tick, zh + " ", make("span", { lang: "en", text: en }));
    }));
  }
  for (const tick of box.querySelectorAll("input")) tick.checked = now[tick.dataset.radio];
}
const word2 = (words, name) => words[name] || [name, ""];

function drawRadio(radio) {
  const { module, sim } = radio, here = radio.towers.find((tower) => tower.name === radio.tower);
  const heard = module.power === "on" && ["home", "roaming"].includes(module.registered);
  for (const bars of document.querySelectorAll(".bars")) {
    bars.dataset.bars = module.power === "on" ? radio.bars : 0;
    bars.classList.toggle("out", !heard);
  }
  $("air-word").textContent = heard ? module.technology : "4G";
  const [zh, en] = module.power === "on" ? word2(REGISTERED, module.registered) : word2(MODULE, module.power);
  $("air").setAttribute("aria-label", `移动网络 Mobile network: ${zh} ${en}`);
  $("cell-state").replaceChildren(make("b", {}, ...both(zh, en)), " " + [heard ? module.operator : "", heard ? module.technology : "", module.address].filter(Boolean).join(" · "));
  $("cell-place").textContent = `${module.model} · ${here.cell}`;
  if (!pulling) $("signal").value = radio.signal;
  $("signal-level").textContent = radio.dbm === null ? "无信号 none" : `${radio.signal} %  ${radio.dbm} dBm`;
  switches($("towers"), "tower", radio.towers.map(({ name, title, technology }) => [name, "radio", `${title[0]} ${technology}`, title[1], () => ({ tower: name })]), Object.fromEntries(radio.towers.map(({ name }) => [name, name === radio.tower])));
  switches($("sim"), "sim", [
    ["in", "checkbox", "已插入", "in its slot", (on) => ({ sim: on ? "in" : "out" })],
    ["asks", "checkbox", "要求 PIN", "asks for its PIN", (on) => ({ sim: on ? "asks" : "free" })],
    ["frozen", "checkbox", "欠费停机", "frozen", (on) => ({ sim: on ? "frozen" : "thawed" })],
  ], sim);
  $("sim-state").replaceChildren(...both(word2(SIM, sim.in ? module.sim : "absent")[0], word2(SIM, sim.in ? module.sim : "absent")[1]), ` ${sim.iccid}`);
  switches($("operator"), "time", [
    ["denied", "checkbox", "拒绝登记", "denies registration", (on) => ({ network: on ? "denied" : "admitted" })],
    ["no_data", "checkbox", "不给数据连接", "gives no data", (on) => ({ network: on ? "no-data" : "data" })],
    ...TIMES.map(([name, , timeZh, timeEn]) => [name, "radio", timeZh, timeEn, () => ({ network: name })]),
  ], { denied: radio.denied, no_data: radio.no_data, ...Object.fromEntries(TIMES.map(([name, value]) => [name, radio.time === value])) });
  $("sockets").replaceChildren(...module.sockets.map((socket) => make("li", {}, make("code", { text: socket.to }), " ", ...both(...word2(SOCKETS, socket.state)), ` ↑${socket.sent} ↓${socket.received}`)));
  if (!module.sockets.length) $("sockets").append(make("li", { class: "none" }, ...both("没有连接", "none")));
  $("messages").replaceChildren(...radio.messages.slice().reverse().map((message) => make("li", { class: message.sent ? "ours" : "theirs" },
    make("small", {}, ...(message.sent ? both("终端发往 " + message.other, "sent by the terminal") : both("来自 " + message.other, message.waits ? "still waits in the network" : "delivered"))), make("p", { text: message.text }))));
}

// The slider sends the newest place only, however fast it is dragged.
let pulling = false, tuning = null;
async function tune() {
  if (tuning !== null) { tuning = Number($("signal").value); return; }
  tuning = Number($("signal").value);
  for (let sent = -1; sent !== tuning;) { sent = tuning; await quietly(post("/api/radio", { signal: sent })); }
  tuning = null;
}
$("signal").addEventListener("pointerdown", () => { pulling = true; });
$("signal").addEventListener("input", tune);
for (const end of ["change", "pointerup", "pointercancel"]) $("signal").addEventListener(end, () => { pulling = false; });
$("air").addEventListener("click", () => { open($("tab-radio")); $("air").blur(); });
$("sms-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const sms = $("sms").value.trim();
  if (sms) quietly(post("/api/radio", { sms })).then(() => { $("sms").value = ""; });
});

function drawRules(rules) {
  $("rules").replaceChildren(...rules.now.map((text) => make("li", { text })));
  if (!$("rules").children.length) $("rules").append(make("li", {}, ...both("主机照常应答", "the host answers as usual")));
  $("rule").placeholder = rules.examples[0] || "";
  $("rule-examples").replaceChildren(...rules.examples.map((value) => make("option", { value })));
  $("examples").replaceChildren(...rules.examples.filter((value) => value !== "clear").map((value) => make("button", { type: "button", text: value, onclick: () => { $("rule").value = value; $("rule").focus(); } })));
  $("clear-rules").hidden = !rules.now.length;
}

function drawStop(point) {
  $("armed").replaceChildren(...(point ? both("运行到此处即断电：" + point, "the power goes here") : both("程序运行到该点时立即断电。", "The power goes when the firmware reaches the point.")));
  $("disarm").hidden = !point;
}

const word = (name) => [{ title: name }, WORDS[name] || name];
function drawBooks(books) {
  const table = (caption, heads, rows) => make("table", {}, make("caption", {}, ...caption), make("tr", {}, ...heads.map(([zh, en, look]) => make("th", { class: look || "", scope: "col" }, ...both(zh, en)))), ...rows);
  $("books").replaceChildren(
    table(both("交易流水", "Postings"), [["凭证号", "Trace"], ["种类", "Kind"], ["金额", "Amount", "money"], ["应答", "Code"], ["状态", "State"]],
      books.postings.map((row) => make("tr", { class: row.stands ? "" : "undone" }, make("td", { text: row.trace }), make("td", ...word(row.kind)), make("td", { class: "money", text: money(row.amount_fen) }), make("td", { text: row.code }), make("td", ...word(row.state))))),
    table(both("卡内余额", "Balances"), [["卡片", "Card"], ["余额", "Balance", "money"]],
      Object.entries(books.balances_fen).map(([name, fen]) => make("tr", {}, make("td", {}, ...(titles[name] ? both(titles[name], name) : [name])), make("td", { class: "money", text: money(fen) })))));
}

// ---- the log

const hidden = new Set(QUIET);
const kindOf = (entry) => (entry.kind === "wire" && entry.text.startsWith("i2c: ") ? "panel" : entry.kind);
function drawLog(entries) {
  const log = $("log"), atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  for (const entry of entries) {
    const kind = kindOf(entry);
    const line = make("li", { "data-kind": kind }, make("time", { text: (entry.at_ms / 1000).toFixed(3) }), make("b", { text: (KINDS.find((row) => row[0] === kind) || ["", kind])[1] }), make("pre", { text: entry.text }));
    line.hidden = !wanted(line);
    log.append(line);
  }
  while (log.children.length > LOG_KEPT) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}
function wanted(line) {
  const sought = $("filter").value.trim().toLowerCase(), kind = line.dataset.kind;
  return (!hidden.has(kind) || (sought !== "" && QUIET.includes(kind))) && line.textContent.toLowerCase().includes(sought);
}
function filterLog() { for (const line of $("log").children) line.hidden = !wanted(line); $("log").scrollTop = $("log").scrollHeight; }

// ---- sound

let audio = null, heard = null;
const soundOn = () => $("sound").getAttribute("aria-pressed") === "true";
function wakeSound() {
  if (!soundOn()) return;
  audio = audio || new (window.AudioContext || window.webkitAudioContext)();
  if (audio.state === "suspended") audio.resume();
}
let free = 0; // when the buzzer has nothing left to play
function hear(sounds) {
  const last = sounds.length ? sounds[sounds.length - 1].number : 0;
  const fresh = heard === null ? [] : sounds.filter((sound) => sound.number > heard);
  heard = Math.max(heard || 0, last);
  if (!audio || audio.state !== "running" || !soundOn()) return;
  for (const { hz, ms } of fresh) {
    const at = Math.max(audio.currentTime + 0.005, free), end = at + Math.min(ms, 2000) / 1000;
    if (at > audio.currentTime + 1) break;
    const tone = audio.createOscillator(), volume = audio.createGain();
    tone.type = "square";
    tone.frequency.value = Math.min(Math.max(hz, 30), 12000);
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.05, at + 0.003);
    volume.gain.setValueAtTime(0.05, Math.max(at + 0.003, end - 0.004));
    volume.gain.linearRampToValueAtTime(0, end);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(end + 0.01);
    free = end + 0.012;
  }
}

// ---- hands

for (const [token, face, word, look, names] of KEYS) {
  const key = make("button", { type: "button", class: "key " + look, "data-token": token, "aria-label": word ? `${face} ${word}` : face, title: "键盘 Keyboard: " + names[0], text: face });
  if (word) key.append(make("small", { text: word, "aria-hidden": "true" }));
  key.addEventListener("pointerdown", (event) => event.preventDefault()); // focus stays: Enter on the keyboard is still the key ENTER
  key.addEventListener("click", () => press(token));
  $("keypad").append(key);
}
const BY_KEYBOARD = new Map(KEYS.flatMap(([token, , , , names]) => names.map((name) => [name, token])));
const keyFace = (token) => $("keypad").querySelector(`[data-token="${CSS.escape(token)}"]`);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const on = event.target;
  if (on.matches("input, textarea, select") || ((event.key === "Enter" || event.key === " ") && on.matches("button, a, summary"))) return;
  if (event.key.startsWith("Arrow") && on.matches("[role=tab], #log, summary, .row")) return;
  const token = BY_KEYBOARD.get(event.key);
  if (!token) return;
  event.preventDefault();
  if (event.repeat) return;
  keyFace(token).classList.add("down");
  press(token);
});
document.addEventListener("keyup", (event) => {
  const token = BY_KEYBOARD.get(event.key);
  if (token) keyFace(token).classList.remove("down");
});
for (const id of ["power", "plug", "crash", "sound"]) $(id).addEventListener("pointerdown", (event) => event.preventDefault());
$("power").addEventListener("click", () => { wakeSound(); quietly(post("/api/power", { do: isOn ? "off" : "on" })); });
$("plug").addEventListener("click", () => quietly(post("/api/power", { do: "plug" })));
$("crash").addEventListener("click", () => quietly(post("/api/power", { do: "crash" })));
$("sound").addEventListener("click", () => { $("sound").setAttribute("aria-pressed", String(!soundOn())); wakeSound(); });

let pulled = null;
$("paper").addEventListener("pointerdown", (event) => { pulled = { x: event.clientX, y: event.clientY }; $("paper").setPointerCapture(event.pointerId); });
$("paper").addEventListener("pointermove", (event) => {
  if (pulled) $("paper").style.transform = `rotate(${Math.max(-6, Math.min(6, (event.clientX - pulled.x) / 14))}deg) translateY(${Math.min(0, (event.clientY - pulled.y) / 3)}px)`;
});
const letGo = () => { pulled = null; $("paper").style.transform = ""; };
$("paper").addEventListener("pointerup", (event) => {
  const far = pulled && Math.hypot(event.clientX - pulled.x, event.clientY - pulled.y) > 40;
  letGo();
  if (far) { tornByDrag = true; tear(); }
});
$("paper").addEventListener("pointercancel", letGo);
let tornByDrag = false;
$("paper").addEventListener("click", () => { if (tornByDrag) tornByDrag = false; else tear(); });
const tear = () => { quietly(post("/api/paper", { tear: true })); $("paper").blur(); };

$("rule-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("rule-error").textContent = "";
  try { await post("/api/fault", { rule: $("rule").value || $("rule").placeholder }); $("rule").value = ""; } catch (error) { $("rule-error").textContent = error.message; }
});
$("stop-form").addEventListener("submit", (event) => {
  event.preventDefault();
  quietly(post("/api/fault", { stop: $("stop").value || $("stop").placeholder }));
});
$("disarm").addEventListener("click", () => quietly(post("/api/fault", { stop: "" })));
$("clear-rules").addEventListener("click", () => quietly(post("/api/fault", { rule: "clear" })));

const tabs = [...document.querySelectorAll("[role=tab]")];
function open(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
  if (tab.id === "tab-log") $("log").scrollTop = $("log").scrollHeight;
}
tabs.forEach((tab, i) => {
  tab.addEventListener("click", (event) => { open(tab); if (event.detail) tab.blur(); });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { const next = tabs[(i + step + tabs.length) % tabs.length]; open(next); next.focus(); }
  });
});

for (const [kind, zh] of KINDS) {
  const chip = make("button", { type: "button", "aria-pressed": String(!hidden.has(kind)), text: zh, title: kind, onclick: () => {
    if (!hidden.delete(kind)) hidden.add(kind);
    chip.setAttribute("aria-pressed", String(!hidden.has(kind)));
    filterLog();
    chip.blur();
  } });
  $("kinds").append(chip);
}
$("filter").addEventListener("input", filterLog);
$("clear-log").addEventListener("click", () => { $("log").replaceChildren(); $("clear-log").blur(); });

follow();
