//! What was asked for, in 64 bits.

/// Tells two requests apart that came with one key.
///
/// Any 64 bits that are the same for the same request, on every machine and in every version that share the records: a
/// checksum that is there already ([`new`](Self::new)), or the request's bytes ([`of`](Self::of)), which is FNV-1a with
/// 64 bits (draft-eastlake-fnv). It finds mistakes, not malice: whoever wants to can make two requests with one
/// fingerprint, and gets the answer to the first.
///
/// ```
/// use fusebox::idempotency::Fingerprint;
///
/// const PAY: Fingerprint = Fingerprint::of(b"POST").and(b"/payments");
/// assert_ne!(PAY.and(br#"{"amount":5}"#), PAY.and(br#"{"amount":50}"#));
/// assert_ne!(Fingerprint::of(b"ab").and(b"c"), Fingerprint::of(b"a").and(b"bc"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// For requests of which nothing but the key is known: no repetition is ever a conflict.
    pub const NONE: Self = Self(0);

    /// These 64 bits.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits, to be stored.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Of a request, or of its first part.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        Self(0xcbf2_9ce4_8422_2325).join(bytes)
    }

    /// With a further part. Where one part ends and the next begins counts: its length is hashed before it.
    #[must_use]
    pub const fn and(self, bytes: &[u8]) -> Self {
        self.join(&(bytes.len() as u64).to_le_bytes()).join(bytes)
    }

    const fn join(mut self, mut bytes: &[u8]) -> Self {
        while let [first, rest @ ..] = bytes {
            self.0 = (self.0 ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
            bytes = rest;
        }
        self
    }
}
