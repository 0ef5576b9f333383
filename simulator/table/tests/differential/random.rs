//! Numbers that look random and are the same each time, and values made of them.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use simulator_table::Item;

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Seeds that are near each other must not begin series that are.
        Self(Self(seed).next())
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn key(&mut self) -> Item {
        let pk = self.pick(&["job#1", "pool#a", "pool#b"]);
        let sk = self.pick(&["job", "pool", "slot#0001", "slot#0002", "slot#0010", "wait#1", "Ärger"]);
        Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
    }

    pub fn number(&mut self) -> AttributeValue {
        // Some of them are others, written otherwise, or others to whoever counts in floating point.
        let number = self.pick(&[
            "0",
            "1",
            "1.0",
            "01",
            "1e0",
            "-1",
            "-1.00",
            "2",
            "100",
            "1e2",
            "0.5",
            "1772366400123",
            "9007199254740993",
            "9007199254740992",
            "99999999999999999999999999999999999999",
        ]);
        AttributeValue::N(number.to_owned())
    }

    pub fn text(&mut self) -> AttributeValue {
        text(self.pick(&["", "a", "ab", "abc", "b", "N", "S", "L", "reserved", "busy", "ä", "10", "9"]))
    }

    pub fn list(&mut self) -> AttributeValue {
        let length = self.below(3);
        AttributeValue::L((0..length).map(|_| self.scalar()).collect())
    }

    fn map(&mut self) -> AttributeValue {
        let names = ["a", "b"].into_iter().take(self.below(3));
        AttributeValue::M(names.map(|name| (name.to_owned(), self.scalar())).collect())
    }

    fn scalar(&mut self) -> AttributeValue {
        match self.below(8) {
            0..3 => self.number(),
            3..6 => self.text(),
            6 => AttributeValue::Bool(self.once_in(2)),
            _ => AttributeValue::Null(true),
        }
    }

    pub fn value(&mut self) -> AttributeValue {
        match self.below(12) {
            0..4 => self.number(),
            4..8 => self.text(),
            8 => self.list(),
            9 => self.map(),
            10 => AttributeValue::B(Blob::new(self.pick(&["", "a", "ab"]))),
            _ => self.scalar(),
        }
    }

    /// A value of the type that the ledger has there, mostly.
    pub fn value_of(&mut self, attribute: &str) -> AttributeValue {
        if self.once_in(6) {
            return self.value();
        }
        match attribute {
            "job" | "since" | "spare_since" | "displaced" => self.number(),
            "timeline" => self.list(),
            "claims" => self.map(),
            _ => self.text(),
        }
    }

    /// A value of a type that has an order.
    pub fn ordered(&mut self) -> AttributeValue {
        if self.once_in(2) { self.number() } else { self.text() }
    }
}

pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
