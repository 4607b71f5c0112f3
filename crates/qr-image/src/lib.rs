#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod color;
mod error;
mod layout;
mod png;
mod size;
mod style;
mod svg;
mod symbol;

pub use self::color::{Colors, ColorsError, Rgb, RgbError};
pub use self::error::RenderError;
pub use self::png::png;
pub use self::size::{Margin, MarginError, PixelSize, PixelSizeError};
pub use self::style::Style;
pub use self::svg::svg;
pub use self::symbol::Symbol;

#[cfg(test)]
mod tests;
