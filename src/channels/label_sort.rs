//! The sort key of labels: natural sort order, without regard to case.

use crate::text::folded;

/// The longest key, in bytes. Longer labels that begin alike are in the order of their scenes.
const MAX_BYTES: usize = 240;

/// Computes the key by which labels are sorted, byte by byte: without regard to case, and numbers
/// by their value, so that `Poster 10` follows `Poster 9` (natural sort order).
pub(super) fn label_sort(label: &str) -> Vec<u8> {
    let folded = folded(label);
    let mut key = Vec::with_capacity(folded.len() + 4);
    let mut rest = folded.as_str();
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let (number, others) = rest.split_at(digits);
        if !number.is_empty() {
            push_number(&mut key, number);
        }
        let text = others.find(|it: char| it.is_ascii_digit());
        let (text, next) = others.split_at(text.unwrap_or(others.len()));
        key.extend_from_slice(text.as_bytes());
        rest = next;
    }
    key.truncate(MAX_BYTES);
    key
}

/// Writes how many digits a number has before the digits, so that a longer number is larger. Nine
/// digits are continued in another length.
fn push_number(key: &mut Vec<u8>, number: &str) {
    let digits = number.trim_start_matches('0').as_bytes();
    let mut left = digits.len();
    while left >= 9 {
        key.push(b'9');
        left -= 9;
    }
    key.push(b'0' + u8::try_from(left).unwrap_or(b'9'));
    key.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_in_the_order_in_which_people_look_for_them() {
        let in_order = [
            "1",
            "2",
            "10",
            "999999999",
            "1000000000",
            "A",
            "b",
            "Poster",
            "Poster 0",
            "Poster 2",
            "poster 9",
            "Poster 10",
            "poster 10 A",
            "Poster 99999999999999999999",
            "Poster 100000000000000000000",
            "Poster A",
            "海报 2",
            "海报 10",
        ];
        let mut sorted = in_order;
        sorted.reverse();
        sorted.sort_by_key(|label| label_sort(label));
        assert_eq!(sorted, in_order);
    }

    #[test]
    fn case_and_leading_zeros_do_not_matter() {
        assert_eq!(label_sort("POSTER 007"), label_sort("poster 7"));
        assert_ne!(label_sort("poster 70"), label_sort("poster 7"));
    }

    proptest! {
        #[test]
        fn numbers_are_in_the_order_of_their_values(one: u128, other: u128) {
            let key = |number: u128| label_sort(&format!("No. {number} x"));
            prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
        }

        #[test]
        fn a_key_fits_into_an_index(label in "\\PC{0,100}") {
            prop_assert!(label_sort(&label).len() <= MAX_BYTES);
        }
    }
}
