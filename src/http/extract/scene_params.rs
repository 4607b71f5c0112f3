//! Which code is wanted, as it comes from outside: one set of rules for the query of `/qrcode` and the JSON of `/api`.

use std::str::FromStr;

use crate::http::i18n::message::Message;
use crate::http::problem::Problem;
use crate::scene::{CodeSpec, Lifetime, PermanentScene, SceneError, SceneText, TemporaryScene};

/// What was given, by the names that are the same everywhere. Nothing of it is checked yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UncheckedSpec<'a> {
    pub(crate) scene_id: Option<&'a str>,
    pub(crate) scene_str: Option<&'a str>,
    pub(crate) permanent: bool,
    pub(crate) expire_seconds: Option<&'a str>,
}

impl UncheckedSpec<'_> {
    /// The same as a value that cannot be wrong. A temporary code lives for `default_expire` if nothing is said.
    ///
    /// # Errors
    /// Names the parameter, and what would be accepted.
    pub(crate) fn checked(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        if !self.permanent {
            let scene = self.scene(TemporaryScene::Id, TemporaryScene::Text)?;
            let lifetime = self
                .expire_seconds
                .map(|text| parsed("expire_seconds", text));
            let lifetime = lifetime.transpose()?.unwrap_or(default_expire);
            return Ok(CodeSpec::Temporary { scene, lifetime });
        }
        if self.expire_seconds.is_some() {
            let message = Message::new(
                "仅用于临时二维码，永久二维码不会过期",
                "goes with temporary codes only; a permanent code does not expire",
            );
            return Err(Problem::invalid_parameter("expire_seconds", message));
        }
        let scene = self.scene(PermanentScene::Id, PermanentScene::Text)?;
        Ok(CodeSpec::Permanent { scene })
    }

    /// The scene, from whichever of the two is given.
    fn scene<I, S>(&self, by_id: fn(I) -> S, by_text: fn(SceneText) -> S) -> Result<S, Problem>
    where
        I: FromStr<Err = SceneError>,
    {
        match (self.scene_id, self.scene_str) {
            (Some(id), None) => parsed("scene_id", id).map(by_id),
            (None, Some(text)) => parsed("scene_str", text).map(by_text),
            (Some(_), Some(_)) => {
                let message = Message::new(
                    "不能与 scene_id 同时使用",
                    "must not be given together with scene_id",
                );
                Err(Problem::invalid_parameter("scene_str", message))
            }
            (None, None) => {
                let message = Message::new(
                    "缺失：请给出 scene_id（整数）或 scene_str（1 至 64 个字符）",
                    "is missing: give scene_id (a whole number) or scene_str (1 to 64 characters)",
                );
                Err(Problem::invalid_parameter("scene_id", message))
            }
        }
    }
}

/// A parameter's text as a checked value.
pub(crate) fn parsed<T>(name: &str, text: &str) -> Result<T, Problem>
where
    T: FromStr<Err: Into<Message>>,
{
    text.parse()
        .map_err(|error| Problem::invalid_parameter(name, error))
}
