//! Colours that readers can tell apart.

use std::fmt;
use std::str::FromStr;

/// An sRGB colour, parsed from 3 or 6 hexadecimal digits without `#` and printed as 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rgb(pub(crate) [u8; 3]);

impl Rgb {
    /// `000`
    pub const BLACK: Self = Self([0; 3]);
    /// `fff`
    pub const WHITE: Self = Self([255; 3]);

    /// Returns the relative luminance of WCAG 2, from 0 for black to 1 for white.
    pub(crate) fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromStr for Rgb {
    type Err = RgbError;

    fn from_str(text: &str) -> Result<Self, RgbError> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|value| u8::try_from(value).ok())
            })
            .collect();
        match digits.as_deref() {
            Some(&[r, g, b]) => Ok(Self([r, g, b].map(|digit| digit * 0x11))),
            Some(&[r, r2, g, g2, b, b2]) => Ok(Self(
                [(r, r2), (g, g2), (b, b2)].map(|(high, low)| high << 4 | low),
            )),
            _ => Err(RgbError),
        }
    }
}

/// The text is not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a colour of 3 or 6 hexadecimal digits without #, such as 07c160")]
pub struct RgbError;

/// A dark colour on a light background with enough contrast for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colors {
    pub(crate) color: Rgb,
    pub(crate) background: Rgb,
}

impl Colors {
    /// The minimum contrast ratio of WCAG 2, where 1 is none and 21 is black on white.
    pub const MIN_CONTRAST: f64 = 3.0;

    /// Pairs the colour of the dark modules with that of the light modules and the margin.
    ///
    /// # Errors
    ///
    /// [`ColorsError`] when the contrast is too low, or when the background is the darker colour:
    /// many readers do not find an inverted symbol.
    pub fn new(color: Rgb, background: Rgb) -> Result<Self, ColorsError> {
        let (dark, light) = (color.luminance(), background.luminance());
        if dark > light {
            return Err(ColorsError::Inverted { color, background });
        }
        if (light + 0.05) / (dark + 0.05) < Self::MIN_CONTRAST {
            return Err(ColorsError::TooClose { color, background });
        }
        Ok(Self { color, background })
    }
}

impl Default for Colors {
    fn default() -> Self {
        Self {
            color: Rgb::BLACK,
            background: Rgb::WHITE,
        }
    }
}

/// Why two colours are refused as a pair; the message says what would be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ColorsError {
    /// The colour is lighter than the background.
    #[error("must be darker than the background, but {color} is lighter than {background}")]
    Inverted {
        /// The colour of the dark modules.
        color: Rgb,
        /// The colour of the light modules.
        background: Rgb,
    },
    /// The contrast is below [`Colors::MIN_CONTRAST`].
    #[error(
        "must have a contrast of at least {}:1 to the background, more than {color} on {background} has",
        Colors::MIN_CONTRAST
    )]
    TooClose {
        /// The colour of the dark modules.
        color: Rgb,
        /// The colour of the light modules.
        background: Rgb,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_3_or_6_hexadecimal_digits() {
        for (text, want) in [
            ("000", Ok("000000")),
            ("fff", Ok("ffffff")),
            ("07c", Ok("0077cc")),
            ("07c160", Ok("07c160")),
            ("07C160", Ok("07c160")),
            ("", Err(RgbError)),
            ("07c1", Err(RgbError)),
            ("07c16", Err(RgbError)),
            ("07c1600", Err(RgbError)),
            ("#07c", Err(RgbError)),
            ("+7c", Err(RgbError)),
            ("red", Err(RgbError)),
            ("０７ｃ", Err(RgbError)),
        ] {
            let got = text.parse::<Rgb>().map(|color| color.to_string());
            assert_eq!(got, want.map(ToOwned::to_owned), "input {text:?}");
        }
    }

    #[test]
    fn colours_are_dark_on_light_with_a_contrast_of_3_to_1() {
        // 767676 on white has 4.54:1, as WCAG's own examples give it; 949494 has 3.03:1 and 959595
        // has 2.99:1.
        for (color, background, want) in [
            ("000", "fff", "accepted"),
            ("767676", "fff", "accepted"),
            ("949494", "fff", "accepted"),
            ("00f", "0f0", "accepted"),
            (
                "959595",
                "fff",
                "must have a contrast of at least 3:1 to the background, more than 959595 on ffffff has",
            ),
            (
                "123456",
                "123456",
                "must have a contrast of at least 3:1 to the background, more than 123456 on 123456 has",
            ),
            (
                "fff",
                "000",
                "must be darker than the background, but ffffff is lighter than 000000",
            ),
            (
                "0f0",
                "f00",
                "must be darker than the background, but 00ff00 is lighter than ff0000",
            ),
        ] {
            let got = Colors::new(color.parse().unwrap(), background.parse().unwrap())
                .map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
            assert_eq!(got, want, "{color} on {background}");
        }
    }
}
