//! The format of WeChat's tickets: undocumented, read off published ones. No client may depend on
//! it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

/// What a ticket encodes about its code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TicketContents<'a> {
    /// The text of the QR code.
    pub(crate) url: &'a str,
    /// Unix seconds.
    pub(crate) created_at: u32,
    /// Lifetime in seconds; 0 for a permanent code.
    pub(crate) life: u32,
}

/// Encodes a ticket; `salt` is the pair of bytes that vary without a known meaning.
///
/// 96 characters for a `url` of 43 or 45 bytes, which is what WeChat's have.
pub(crate) fn encode(contents: TicketContents<'_>, salt: [u8; 2]) -> String {
    let url = contents.url.as_bytes();
    let mut payload = Vec::with_capacity(url.len() + 15);
    // The length counts the closing NUL. One byte holds it: a longer url, which WeChat never makes,
    // says 255.
    payload.extend([0x01, u8::try_from(url.len() + 1).unwrap_or(u8::MAX)]);
    payload.extend(url);
    payload.push(0);
    payload.extend([0x02, 0x04]);
    payload.extend(contents.created_at.to_le_bytes());
    payload.extend([0x03, 0x04]);
    payload.extend(contents.life.to_le_bytes());

    let length = u32::try_from(payload.len()).expect("a url fits in memory, its length in 32 bits");
    let mut bytes = vec![0x81, 0x01, salt[0], salt[1]];
    bytes.extend(length.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.append(&mut payload);
    URL_SAFE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one that WeChat's documentation shows. Its last field holds an absolute time instead of
    /// a life.
    const PUBLISHED: &str = "gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw==";

    #[test]
    fn the_published_ticket_comes_out_byte_for_byte() {
        let contents = TicketContents {
            url: "http://weixin.qq.com/q/kZgfwMTm72WWPkovabbI",
            created_at: 0x53ec_6d67,
            life: 0x53ec_6d9a,
        };
        assert_eq!(encode(contents, [0xf8, 0xee]), PUBLISHED);
    }

    #[test]
    fn tickets_of_both_known_url_lengths_have_96_characters() {
        for url in [
            "http://weixin.qq.com/q/kZgfwMTm72WWPkovabbI",
            "http://weixin.qq.com/q/02kZgfwMTm72WWPkovabbI",
        ] {
            let contents = TicketContents {
                url,
                created_at: 1_700_000_000,
                life: 60,
            };
            let ticket = encode(contents, [7, 9]);
            assert_eq!(ticket.len(), 96, "url {url}");
            let bytes = URL_SAFE.decode(ticket).unwrap();
            assert_eq!(bytes[..4], [0x81, 0x01, 7, 9]);
            let payload = &bytes[12..];
            assert_eq!(
                bytes[4..8],
                u32::try_from(payload.len()).unwrap().to_le_bytes()
            );
            assert_eq!(&payload[2..2 + url.len()], url.as_bytes());
            assert_eq!(payload[payload.len() - 4..], 60_u32.to_le_bytes());
        }
    }

    #[test]
    fn an_absurdly_long_url_is_no_panic() {
        let url = "x".repeat(5000);
        let contents = TicketContents {
            url: &url,
            created_at: 0,
            life: 0,
        };
        assert!(encode(contents, [0, 0]).len() > 5000);
    }
}
