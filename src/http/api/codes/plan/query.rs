//! The query of `POST /api/codes/plan`.

use crate::http::api::query::{boolean, known_pairs, language};
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;

const KNOWN: &[&str] = &["permanent", "group", "expire_seconds", "lang"];

pub(super) struct PlanQuery {
    pub(super) defaults: Defaults,
    pub(super) lang: Lang,
}

/// What rows have that do not say otherwise.
pub(super) struct Defaults {
    pub(super) permanent: bool,
    pub(super) group: Option<String>,
    pub(super) expire_seconds: Option<u64>,
}

impl PlanQuery {
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let mut query = Self {
            defaults: Defaults {
                permanent: true,
                group: None,
                expire_seconds: None,
            },
            lang: Lang::En,
        };
        for (name, value) in known_pairs(raw, KNOWN)? {
            match name.as_str() {
                "permanent" => query.defaults.permanent = boolean(&name, &value)?,
                "group" => query.defaults.group = Some(value).filter(|group| !group.is_empty()),
                "expire_seconds" => query.defaults.expire_seconds = Some(seconds(&value)?),
                // "lang": no other name is left.
                _ => query.lang = language(&value)?,
            }
        }
        Ok(query)
    }
}

fn seconds(value: &str) -> Result<u64, Problem> {
    value.parse().map_err(|_| {
        let message = "must be a whole number of seconds";
        Problem::invalid_parameter("expire_seconds", message)
    })
}
