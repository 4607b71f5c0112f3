//! Dimensions of an image, parsed from decimal text.

use std::str::FromStr;

/// Width and height of an image: 64 to 2048 pixels, by default 430, the width of WeChat's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PixelSize(pub(crate) u16);

impl PixelSize {
    /// The smallest width, in pixels.
    pub const MIN: u16 = 64;
    /// The largest width, in pixels.
    pub const MAX: u16 = 2048;
    /// The default width, in pixels.
    pub const DEFAULT: u16 = 430;

    /// Returns the width in pixels.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for PixelSize {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl FromStr for PixelSize {
    type Err = PixelSizeError;

    fn from_str(text: &str) -> Result<Self, PixelSizeError> {
        parse_canonical(text)
            .filter(|size| (Self::MIN..=Self::MAX).contains(size))
            .map(Self)
            .ok_or(PixelSizeError)
    }
}

/// The text is not a width from [`PixelSize::MIN`] to [`PixelSize::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a whole number of pixels from {} to {}",
    PixelSize::MIN,
    PixelSize::MAX
)]
pub struct PixelSizeError;

/// Minimum width of the quiet zone: 0 to 16 modules, by default the 4 of ISO/IEC 18004.
///
/// With fewer than 4, the surroundings of the image must have its background colour: readers need
/// them as the rest of the quiet zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Margin(u16);

impl Margin {
    /// The widest margin, in modules.
    pub const MAX: u16 = 16;
    /// The default margin, in modules.
    pub const DEFAULT: u16 = 4;

    /// Returns the margin in modules.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Margin {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

impl FromStr for Margin {
    type Err = MarginError;

    fn from_str(text: &str) -> Result<Self, MarginError> {
        parse_canonical(text)
            .filter(|margin| *margin <= Self::MAX)
            .map(Self)
            .ok_or(MarginError)
    }
}

/// The text is not a margin from 0 to [`Margin::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of modules from 0 to {}", Margin::MAX)]
pub struct MarginError;

/// Parses decimal digits without a sign or leading zeros.
///
/// A number has one spelling, so an image that a URL names has one URL.
fn parse_canonical(text: &str) -> Option<u16> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_decimal && !is_padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_64_to_2048_pixels() {
        for (text, want) in [
            ("64", Ok(64)),
            ("430", Ok(430)),
            ("2048", Ok(2048)),
            ("63", Err(PixelSizeError)),
            ("2049", Err(PixelSizeError)),
            ("65966", Err(PixelSizeError)),
            ("", Err(PixelSizeError)),
            ("0430", Err(PixelSizeError)),
            ("+430", Err(PixelSizeError)),
            ("430px", Err(PixelSizeError)),
            (" 430", Err(PixelSizeError)),
            ("4e2", Err(PixelSizeError)),
        ] {
            let got = text.parse::<PixelSize>().map(PixelSize::get);
            assert_eq!(got, want, "input {text:?}");
        }
        assert_eq!(
            PixelSizeError.to_string(),
            "must be a whole number of pixels from 64 to 2048"
        );
    }

    #[test]
    fn a_margin_is_0_to_16_modules() {
        for (text, want) in [
            ("0", Ok(0)),
            ("4", Ok(4)),
            ("16", Ok(16)),
            ("17", Err(MarginError)),
            ("00", Err(MarginError)),
            ("-1", Err(MarginError)),
            ("", Err(MarginError)),
        ] {
            let got = text.parse::<Margin>().map(Margin::get);
            assert_eq!(got, want, "input {text:?}");
        }
        assert_eq!(
            MarginError.to_string(),
            "must be a whole number of modules from 0 to 16"
        );
    }
}
