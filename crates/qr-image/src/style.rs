//! How a picture looks, in values that cannot be wrong.

use std::fmt;
use std::str::FromStr;

use super::RenderError;

/// The fewest pixels that a module is drawn with.
///
/// Found by experiment, on 120 texts of 5 to 243 bytes: at 1 pixel zbar reads a quarter of the pictures, and none whose
/// margin is the page around them (rqrr loses 5 of those); at 2 pixels both read them all.
const LEAST_PIXELS_PER_MODULE: usize = 2;

/// How a picture looks. The default is 430 pixels, a margin of 4 modules, black on white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Style {
    /// Width and height of the whole picture.
    pub size: PixelSize,
    /// The least margin around the symbol.
    pub margin: Margin,
    /// Its two colours.
    pub colors: Colors,
}

impl Style {
    /// How wide a module is drawn where the symbol has so many on a side.
    ///
    /// # Errors
    ///
    /// [`RenderError::TooSmall`] when that is too narrow to be read.
    pub fn pixels_per_module(&self, symbol_width: usize) -> Result<usize, RenderError> {
        let size = usize::from(self.size.get());
        let modules = symbol_width + 2 * usize::from(self.margin.get());
        let pixels = size / modules;
        if pixels < LEAST_PIXELS_PER_MODULE {
            return Err(RenderError::TooSmall {
                size,
                least: modules * LEAST_PIXELS_PER_MODULE,
            });
        }
        Ok(pixels)
    }
}

/// Width and height of a picture: 64 to 2048 pixels, 430 unless told, the width of WeChat's own picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PixelSize(pub(super) u16);

impl PixelSize {
    /// The smallest picture, in pixels.
    pub const MIN: u16 = 64;
    /// The largest picture, in pixels.
    pub const MAX: u16 = 2048;
    /// What is drawn unless a size is given, in pixels.
    pub const DEFAULT: u16 = 430;

    /// In pixels.
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
        parse_number(text)
            .filter(|size| (Self::MIN..=Self::MAX).contains(size))
            .map(Self)
            .ok_or(PixelSizeError)
    }
}

/// The size asked for is not one that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a whole number of pixels from {} to {}",
    PixelSize::MIN,
    PixelSize::MAX
)]
pub struct PixelSizeError;

/// The empty space around a symbol: 0 to 16 modules, 4 unless told, as ISO/IEC 18004 wants it.
///
/// With less than 4, what surrounds the picture must be of its background colour for readers to find the symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Margin(u16);

impl Margin {
    /// The widest margin, in modules.
    pub const MAX: u16 = 16;
    /// What is left free unless a margin is given, in modules.
    pub const DEFAULT: u16 = 4;

    /// In modules.
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
        parse_number(text)
            .filter(|margin| *margin <= Self::MAX)
            .map(Self)
            .ok_or(MarginError)
    }
}

/// The margin asked for is not one that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of modules from 0 to {}", Margin::MAX)]
pub struct MarginError;

/// Reads plain decimal digits without leading zeros: one number has one spelling, and so one picture one address.
fn parse_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !padded)
}

/// A colour, parsed from 3 or 6 hexadecimal digits without `#`, and written as 6 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rgb(pub(super) [u8; 3]);

impl Rgb {
    /// `000`.
    pub const BLACK: Self = Self([0; 3]);
    /// `fff`.
    pub const WHITE: Self = Self([255; 3]);

    /// How bright it appears, from 0 for black to 1 for white: the relative luminance of WCAG 2.
    pub(super) fn luminance(self) -> f64 {
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

/// The colours of a picture: dark enough on light enough for readers to tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colors {
    pub(super) color: Rgb,
    pub(super) background: Rgb,
}

impl Colors {
    /// The least contrast between the two, by WCAG 2, where 1 is none and 21 is black on white.
    pub const LEAST_CONTRAST: f64 = 3.0;

    /// Pairs the colour of the dark modules with that of the light ones and the margin.
    ///
    /// # Errors
    ///
    /// [`ColorsError`] when they are too close, or when the background is the darker one: many readers do not find
    /// an inverted symbol.
    pub fn new(color: Rgb, background: Rgb) -> Result<Self, ColorsError> {
        let (dark, light) = (color.luminance(), background.luminance());
        if dark > light {
            return Err(ColorsError::Inverted { color, background });
        }
        if (light + 0.05) / (dark + 0.05) < Self::LEAST_CONTRAST {
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

/// Why two colours were not accepted together. The message says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ColorsError {
    /// The colour is the lighter one.
    #[error("must be darker than the background, but {color} is lighter than {background}")]
    Inverted {
        /// The colour of the dark modules.
        color: Rgb,
        /// The colour of the light ones.
        background: Rgb,
    },
    /// The contrast is below [`Colors::LEAST_CONTRAST`].
    #[error(
        "must have a contrast of at least {}:1 to the background, more than {color} on {background} has",
        Colors::LEAST_CONTRAST
    )]
    TooClose {
        /// The colour of the dark modules.
        color: Rgb,
        /// The colour of the light ones.
        background: Rgb,
    },
}
