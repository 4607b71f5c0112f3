//! How an image looks.

use crate::color::Colors;
use crate::error::RenderError;
use crate::size::{Margin, PixelSize};

/// The minimum size of a module, in pixels.
///
/// Found by experiment, on 120 texts of 5 to 243 bytes: at 1 pixel zbar reads a quarter of the
/// images, and none whose quiet zone is the page around them (rqrr loses 5 of those); at 2 pixels
/// both read them all.
const MIN_PIXELS_PER_MODULE: usize = 2;

/// Size, margin and colours of an image; by default 430 pixels, 4 modules, black on white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Style {
    /// Width and height of the whole image.
    pub size: PixelSize,
    /// Minimum width of the quiet zone.
    pub margin: Margin,
    /// The colours of dark and light modules.
    pub colors: Colors,
}

impl Style {
    /// Returns the size of a module in pixels, for a symbol of `symbol_width` modules a side.
    ///
    /// # Errors
    ///
    /// [`RenderError::TooSmall`] when readers would fail on modules of that size.
    pub fn pixels_per_module(&self, symbol_width: usize) -> Result<usize, RenderError> {
        let size = usize::from(self.size.get());
        let modules = symbol_width + 2 * usize::from(self.margin.get());
        let pixels = size / modules;
        if pixels < MIN_PIXELS_PER_MODULE {
            return Err(RenderError::TooSmall {
                size,
                min_size: modules * MIN_PIXELS_PER_MODULE,
            });
        }
        Ok(pixels)
    }
}
