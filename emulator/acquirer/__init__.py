"""The acquirer at the other end of the line, with the banks behind it.

    request   one request on its way, the table of kinds, and what is decided of it
    core      one message in, answers with their delays out; no socket, no clock, no chance of its own
    banks, corrections, authorisations        sales, balance, uploads; void, refund, tip, reversal; pre-authorisations
    management, settlement, downloads         sign-on and keys; the end of the day; parameters, applications, card keys
    cards, issuer, replies                    whether a card is good; what a chip is told; the way back
    profile   how one terminal talks: ciphers, MAC, PIN form, DUKPT, fields of its own
    keys      working keys, MAC, PIN block, DUKPT: the host's side of reference/host.md §4
    books     accounts, postings, holds, cards, terminals, in SQLite; double entry, to the fen; statements: what they tell
    rules     what a person wants to go wrong: by amount, by card, for the next messages, from a file
    server    the core behind TCP, for thousands of terminals; secure, certificates: with TLS
    watch, tables, web        what a person sees and does: the last messages, the books, the page
    host      all of it on its own, for any maker's terminal: `python -m emulator.acquirer`

It keeps keys, PINs and card numbers, as a bank does, in a folder of its own; its log is masked.
"""
