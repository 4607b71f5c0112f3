//! Rasterises both formats.

use image::RgbaImage;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

pub(super) fn pixels_of_png(file: &[u8]) -> RgbaImage {
    image::load_from_memory(file).unwrap().into_rgba8()
}

pub(super) fn pixels_of_svg(text: &str) -> RgbaImage {
    let tree = usvg::Tree::from_str(text, &usvg::Options::default()).unwrap();
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height()).unwrap();
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    RgbaImage::from_raw(size.width(), size.height(), pixels.take()).unwrap()
}
