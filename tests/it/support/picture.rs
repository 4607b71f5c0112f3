//! Independent readers of our pictures.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

/// The picture's size and the texts of the symbols in it.
pub(crate) fn decode_png(file: &[u8]) -> ((u32, u32), Vec<String>) {
    let picture = image::load_from_memory(file).unwrap().into_luma8();
    let size = picture.dimensions();
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(size.0 as usize, size.1 as usize, |x, y| {
            picture.as_raw()[y * size.0 as usize + x]
        });
    let grids = prepared.detect_grids();
    let texts = grids.iter().filter_map(|grid| grid.decode().ok());
    (size, texts.map(|(_, text)| text).collect())
}

/// The same for an SVG, drawn as large as it says it is.
pub(crate) fn decode_svg(text: &str) -> ((u32, u32), Vec<String>) {
    let tree = usvg::Tree::from_str(text, &usvg::Options::default()).unwrap();
    let size = tree.size().to_int_size();
    let mut pixmap = Pixmap::new(size.width(), size.height()).unwrap();
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    decode_png(&pixmap.encode_png().unwrap())
}

/// What zbar reads in a picture; none where it is not installed.
pub(crate) fn read_by_zbar(png: &[u8]) -> Option<Vec<String>> {
    let file = tempfile::NamedTempFile::with_suffix(".png").unwrap();
    std::fs::write(file.path(), png).unwrap();
    let output = std::process::Command::new("zbarimg")
        .args(["--quiet", "--raw"])
        .arg(file.path())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}
