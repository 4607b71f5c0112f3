//! Where each module lies in the image.

use crate::error::RenderError;
use crate::style::Style;
use crate::symbol::Symbol;

/// Position of the symbol in its image, in pixels.
///
/// Every module is the same whole number of pixels wide, as many as fit. The symbol is centred;
/// what is left over widens the margin.
pub(crate) struct Layout {
    /// Width and height of the image.
    pub(crate) size: usize,
    /// Width and height of a module.
    pub(crate) module_size: usize,
    /// Distance of the symbol from the left and upper edge.
    pub(crate) offset: usize,
}

impl Layout {
    pub(crate) fn new(symbol: &Symbol, style: &Style) -> Result<Self, RenderError> {
        let module_size = style.pixels_per_module(symbol.width())?;
        let size = usize::from(style.size.get());
        let offset = (size - module_size * symbol.width()) / 2;
        Ok(Self {
            size,
            module_size,
            offset,
        })
    }

    /// Returns the first pixel of the module with this index in its row or column.
    pub(crate) fn first_pixel(&self, module: usize) -> usize {
        self.offset + module * self.module_size
    }
}
