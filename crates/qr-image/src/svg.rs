//! SVG output.

use std::fmt::Write;

use crate::color::Colors;
use crate::error::RenderError;
use crate::layout::Layout;
use crate::style::Style;
use crate::symbol::Symbol;

/// Draws the text as an SVG of one background and one path.
///
/// The geometry is that of [`png()`](crate::png()).
///
/// # Errors
///
/// As [`png()`](crate::png()).
pub fn svg(text: &str, style: &Style) -> Result<String, RenderError> {
    let symbol = Symbol::encode(text)?;
    let layout = Layout::new(&symbol, style)?;
    let path = path(&symbol, &layout);
    let size = layout.size;
    let Colors { color, background } = style.colors;
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {size} {size}" shape-rendering="crispEdges"><rect width="{size}" height="{size}" fill="#{background}"/><path fill="#{color}" d="{path}"/></svg>"##
    ))
}

/// Outlines each horizontal run of dark modules as one rectangle.
fn path(symbol: &Symbol, layout: &Layout) -> String {
    let height = layout.module_size;
    let mut path = String::new();
    for row in 0..symbol.width() {
        let top = layout.first_pixel(row);
        for run in symbol.dark_runs(row) {
            let left = layout.first_pixel(run.start);
            let right = layout.first_pixel(run.end);
            write!(path, "M{left} {top}H{right}v{height}H{left}z")
                .expect("a string takes all characters");
        }
    }
    path
}
