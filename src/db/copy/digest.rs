//! A digest of a table's rows that does not depend on their order or on the engine, so that a
//! script can compute it too (`docs/operating.md` describes it).

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Value of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ColumnValue {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl ColumnValue {
    /// Appends the value in a form that no other value has, whatever follows it.
    fn write_to(&self, row: &mut Vec<u8>) {
        match self {
            Self::Integer(None) | Self::Text(None) | Self::Bytes(None) => row.push(b'n'),
            Self::Integer(Some(number)) => row.extend_from_slice(format!("i{number};").as_bytes()),
            Self::Text(Some(text)) => write_counted(b't', text.as_bytes(), row),
            Self::Bytes(Some(bytes)) => write_counted(b'b', bytes, row),
        }
    }
}

fn write_counted(kind: u8, bytes: &[u8], row: &mut Vec<u8>) {
    row.push(kind);
    row.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    row.extend_from_slice(bytes);
}

/// Number of rows, and the sum of their SHA-256 hashes as big-endian numbers modulo 2^256. A sum,
/// because two equal rows would cancel each other out in an exclusive or.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDigest {
    rows: u64,
    sum: [u8; 32],
}

impl TableDigest {
    /// Adds a row, by its values in the order of the columns' names.
    pub(super) fn add(&mut self, row: &[ColumnValue]) {
        let mut written = Vec::new();
        for value in row {
            value.write_to(&mut written);
        }
        let hash: [u8; 32] = Sha256::digest(&written).into();
        let mut carry = 0;
        for (digit, added) in self.sum.iter_mut().zip(hash).rev() {
            let sum = u16::from(*digit) + u16::from(added) + carry;
            [_, *digit] = sum.to_be_bytes();
            carry = sum >> 8;
        }
        self.rows += 1;
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl fmt::Display for TableDigest {
    /// The sum, as 64 hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&[ColumnValue]]) -> TableDigest {
        let mut digest = TableDigest::default();
        for row in rows {
            digest.add(row);
        }
        digest
    }

    #[test]
    fn a_digest_is_that_of_an_independent_script() {
        let row = [
            ColumnValue::Integer(Some(-7)),
            ColumnValue::Text(Some("扫 a".to_owned())),
            ColumnValue::Text(None),
            ColumnValue::Bytes(Some(vec![0, 255])),
        ];
        // sha256(b"i-7;t5:" + "扫 a".encode() + b"n" + b"b2:\x00\xff")
        let one = digest(&[&row]);
        assert_eq!(
            one.to_string(),
            "9e8ead50ddb70e216e19e3e64ae71385525d85cbe48ed64ad5c06d0e25cc4481"
        );
        // The same twice, added modulo 2^256.
        let twice = digest(&[&row, &row]);
        assert_eq!(
            (twice.rows(), twice.to_string().as_str()),
            (
                2,
                "3d1d5aa1bb6e1c42dc33c7cc95ce270aa4bb0b97c91dac95ab80da1c4b988902"
            )
        );
        assert_eq!(digest(&[]).to_string(), "0".repeat(64));
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_and_depends_on_everything_else() {
        let text = |text: &str| ColumnValue::Text(Some(text.to_owned()));
        let (one, other) = ([text("a"), text("b")], [text("c"), ColumnValue::Text(None)]);
        let both = digest(&[&one, &other]);
        assert_eq!(both, digest(&[&other, &one]));
        for different in [
            digest(&[&one]),
            digest(&[&one, &other, &other]),
            digest(&[&[text("ab"), text("")], &other]),
            digest(&[&[text("b"), text("a")], &other]),
            digest(&[&one, &[text("c"), text("")]]),
            digest(&[&one, &[text("c"), ColumnValue::Integer(Some(0))]]),
        ] {
            assert_ne!(both, different);
        }
    }
}
