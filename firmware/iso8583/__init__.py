"""ISO 8583 as UnionPay's terminals and hosts speak it: bytes in, values out, no socket in sight.

    fields      the table: which field is coded how, its names, what of it may be shown; what a host does differently
    coding      the language in which the table says how a field is coded
    parts       a coding -> two functions
    codec       table -> pack(mti, fields), unpack(message)
    image       what a message that cannot be read may say of itself
    dialects    other tables: UnionPay with 128 fields, ISO 8583:1987 and 1993; a host's profile as JSON
    frame       length + TPDU + header around a message, and a stream of bytes cut back into frames
    subfields   the private fields by position, tag or BER-TLV, as tables
    unionpay    what the private fields (22 53 54 60 61 62 63) hold, the tag order of field 55, reversal, MAC span
    codes       response codes: what happened and what to do, in words
    describe    a message as masked lines for a log

Source: reference/host.md (deployed terminals and hosts; the text of Q/CUP 009 is not public).
"""
