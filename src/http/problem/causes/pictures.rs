//! Errors of `pictures`.

use crate::http::problem::Problem;
use crate::pictures::PictureError;

impl From<&PictureError> for Problem {
    fn from(error: &PictureError) -> Self {
        match error {
            // The url is longer than any that WeChat is known to give, so that its symbol is larger
            // than the size was checked for.
            PictureError::Render(error) => Self::invalid_parameter("size", *error),
            PictureError::Overloaded => Self::crowded(),
        }
    }
}
