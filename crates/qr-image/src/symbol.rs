//! The symbol of a text, module by module.

use std::ops::Range;

use fast_qr::{ECL, QRBuilder};

use super::RenderError;

/// A QR symbol: a square of dark and light modules, without the margin around it.
///
/// Error correction is level M (15 % of the symbol may be lost), raised to Q (25 %) or H (30 %) where that costs nothing,
/// that is, where the symbol does not grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    width: usize,
    /// Row by row, `true` is dark.
    modules: Vec<bool>,
}

impl Symbol {
    /// Makes the symbol of a text, which readers give back byte for byte.
    ///
    /// # Errors
    ///
    /// [`RenderError::TooLong`] when not even the largest symbol holds the text.
    pub fn encode(text: &str) -> Result<Self, RenderError> {
        let mut builder = QRBuilder::new(text);
        let medium = builder
            .ecl(ECL::M)
            .build()
            .map_err(|_| RenderError::TooLong)?;
        // With its version fixed, the builder refuses a level that needs a larger symbol.
        if let Some(version) = medium.version {
            builder.version(version);
        }
        let code = [ECL::H, ECL::Q]
            .into_iter()
            .find_map(|level| builder.ecl(level).build().ok())
            .unwrap_or(medium);
        Ok(Self {
            width: code.size,
            modules: code.data[..code.size * code.size]
                .iter()
                .map(|module| module.value())
                .collect(),
        })
    }

    /// How many modules it has on a side, without the margin.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether the module in column `x` of row `y` is dark, both counted from zero at the top left.
    ///
    /// # Panics
    ///
    /// Where there is no such module.
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        assert!(x < self.width, "column {x} of {}", self.width);
        self.modules[y * self.width + x]
    }

    /// The dark stretches of a row, from left to right, each as long as can be.
    pub(super) fn dark_runs(&self, row: usize) -> impl Iterator<Item = Range<usize>> {
        let mut end = 0;
        self.modules[row * self.width..][..self.width]
            .chunk_by(|left, right| left == right)
            .filter_map(move |run| {
                let start = end;
                end += run.len();
                run[0].then_some(start..end)
            })
    }
}
