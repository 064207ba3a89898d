"""The acquirer at the other end of the line, with the banks behind it.

    keys      working keys, MAC, PIN block: the host's side of reference/host.md §4
    books     accounts, postings, cards, terminals, in SQLite; double entry, to the fen
    rules     what a person wants to go wrong: by amount, by card, for the next messages
    request   one request on its way, what kind it is, and what is decided of it
    core      one message in, answers with their delays out; no socket, no clock, no chance of its own
    management, banks, issuer, replies    its parts: sign-on and keys; cards and money; what a chip is told; the way back
    server    the core behind TCP, on loopback

It keeps keys, PINs and card numbers, as a bank does, in a folder of its own; its log is masked.
"""
