"""ISO 8583 as UnionPay's terminals and hosts speak it: bytes in, values out, no socket in sight.

    fields      the table: which field is coded how, its names, what of it may be shown
    codec       table -> pack(mti, fields), unpack(message)
    frame       length + TPDU + header around a message, and a stream of bytes cut back into frames
    unionpay    what the private fields (22 53 54 60 61 62 63) hold, the tag order of field 55, reversal, MAC span
    codes       response codes: what happened and what to do, in words
    describe    a message as masked lines for a log

Source: reference/host.md (deployed terminals and hosts; the text of Q/CUP 009 is not public).
"""
