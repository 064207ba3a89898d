"""Public recovery of an RSA signature: the one piece of arithmetic on keys in the firmware, and it needs no secret.

Source: EMV Book 2, Annex A2.1 (signature with message recovery) and B2.1 (RSA; the exponents 3 and 2^16 + 1).
"""

EXPONENTS = (3, 65537)
MIN_BYTES, MAX_BYTES = 64, 248  # of a modulus: 1984 bits are the most that EMV allows


def recover(signature: bytes, modulus: bytes, exponent: int) -> "bytes | None":
    """What was signed, as long as the modulus; None where the signature is none under this key.

    A signature is as long as the modulus and, as a number, below it.
    """
    if len(signature) != len(modulus) or not MIN_BYTES <= len(modulus) <= MAX_BYTES or exponent not in EXPONENTS:
        return None
    divisor = int.from_bytes(modulus, "big")
    number = int.from_bytes(signature, "big")
    if number >= divisor:
        return None
    return pow(number, exponent, divisor).to_bytes(len(modulus), "big")
