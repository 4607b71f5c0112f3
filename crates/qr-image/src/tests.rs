//! Geometry and encoding of the drawn images.

mod decoding;
mod raster;

use std::io::Cursor;

use ::png::{BitDepth, ColorType, Decoder};

use self::raster::{pixels_of_png, pixels_of_svg};
use super::*;
use crate::layout::Layout;

const URL: &str = "http://weixin.qq.com/q/kZgfwMTm72WWPkovabbI";

#[test]
fn the_symbol_is_not_mirrored() {
    // Decoders accept mirrored symbols, so they cannot show it. Beside the lower left finder there
    // is a module that is dark in every symbol; its mirror image is light in this one.
    let symbol = Symbol::encode(URL).unwrap();
    let far = symbol.width() - 8;
    assert!(symbol.is_dark(8, far));
    assert!(!symbol.is_dark(far, 8));

    let image = pixels_of_png(&png(URL, &Style::default()).unwrap());
    let layout = Layout::new(&symbol, &Style::default()).unwrap();
    let pixel = |module| u32::try_from(layout.first_pixel(module)).unwrap();
    for y in 0..symbol.width() {
        for x in 0..symbol.width() {
            let is_dark = image.get_pixel(pixel(x), pixel(y)).0[0] == 0;
            assert_eq!(is_dark, symbol.is_dark(x, y), "column {x}, row {y}");
        }
    }
}

#[test]
fn too_small_names_the_smallest_size_that_works() {
    // The url needs 33 modules; every module needs 2 pixels.
    for (size, margin, want) in [
        (82, 4, Ok(())),
        (
            81,
            4,
            Err("must be at least 82 pixels for this code with this margin, but is 81"),
        ),
        (66, 0, Ok(())),
        (
            65,
            0,
            Err("must be at least 66 pixels for this code with this margin, but is 65"),
        ),
        (130, 16, Ok(())),
        (
            129,
            16,
            Err("must be at least 130 pixels for this code with this margin, but is 129"),
        ),
    ] {
        let style = style(size, margin);
        let want = want.map_err(ToOwned::to_owned);
        let got = png(URL, &style)
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(got, want, "PNG, size {size}, margin {margin}");
        let got = svg(URL, &style)
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(got, want, "SVG, size {size}, margin {margin}");
    }
}

#[test]
fn the_symbol_is_centred_with_the_largest_whole_modules() {
    // 33 modules and a quiet zone of 8 go 10 times into 430 and leave 20 pixels.
    for (size, margin, module, offset) in [
        (430, 4, 10, 50),
        (430, 0, 13, 0),
        (431, 0, 13, 1),
        (82, 4, 2, 8),
        (2048, 16, 31, 512),
    ] {
        let symbol = Symbol::encode(URL).unwrap();
        let layout = Layout::new(&symbol, &style(size, margin)).unwrap();
        let got = (layout.module_size, layout.offset);
        assert_eq!(got, (module, offset), "size {size}, margin {margin}");
    }
}

#[test]
fn an_svg_is_one_rectangle_and_one_path() {
    let text = svg(URL, &Style::default()).unwrap();
    let (head, path) = text.split_once(" d=\"").unwrap();
    assert_eq!(
        head,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="430" height="430" viewBox="0 0 430 430" shape-rendering="crispEdges"><rect width="430" height="430" fill="#ffffff"/><path fill="#000000""##
    );
    // The upper edge of the finder in the corner: 7 modules of 10 pixels.
    assert!(path.starts_with("M50 50H120v10H50z"), "{path}");
    let (moves, end) = path.split_once('"').unwrap();
    assert!(moves.chars().all(|c| "MHvz 0123456789".contains(c)));
    assert_eq!(end, "/></svg>");
}

#[test]
fn a_png_has_one_bit_a_pixel_and_a_palette_of_two_colours() {
    let style = Style {
        colors: Colors::new("06395e".parse().unwrap(), "ffe".parse().unwrap()).unwrap(),
        ..style(431, 1)
    };
    let file = png(URL, &style).unwrap();
    let reader = Decoder::new(Cursor::new(file)).read_info().unwrap();
    let info = reader.info();
    assert_eq!((info.width, info.height), (431, 431));
    assert_eq!(info.color_type, ColorType::Indexed);
    assert_eq!(info.bit_depth, BitDepth::One);
    assert_eq!(
        info.palette.as_deref(),
        Some([0xff, 0xff, 0xee, 0x06, 0x39, 0x5e].as_slice())
    );
}

#[test]
fn png_and_svg_have_the_same_pixels() {
    let colors = Colors::new("06395e".parse().unwrap(), "ffe".parse().unwrap()).unwrap();
    for (size, margin) in [(66, 0), (83, 4), (430, 4), (1001, 16)] {
        let style = Style {
            colors,
            ..style(size, margin)
        };
        let drawn = pixels_of_png(&png(URL, &style).unwrap());
        let rasterised = pixels_of_svg(&svg(URL, &style).unwrap());
        assert!(drawn == rasterised, "size {size}, margin {margin}");
    }
}

fn style(size: u16, margin: u16) -> Style {
    Style {
        size: size.to_string().parse().unwrap(),
        margin: margin.to_string().parse().unwrap(),
        colors: Colors::default(),
    }
}
