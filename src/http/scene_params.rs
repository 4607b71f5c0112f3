//! Which code is asked for: the same parameters and rules in the query of `/qrcode`, in the JSON of
//! `/api/codes`, in links that `wxqr sign` signs, and in the OpenAPI document.

use std::str::FromStr;

use utoipa::IntoParams;

use crate::text;
use wechat::scene::{
    CodeSpec, Lifetime, LifetimeError, PermanentScene, SceneError, SceneText, TemporaryScene,
};

/// The parameters, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SceneParams {
    /// A number: 1 to 4294967295 for a temporary code, 1 to 100000 for a permanent one. This or
    /// `scene_str`.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 4_294_967_295_i64)]
    pub scene_id: Option<String>,
    /// A text of 1 to 64 characters, without control characters. This or `scene_id`.
    #[param(min_length = 1, max_length = 64)]
    pub scene_str: Option<String>,
    /// A permanent code. It must exist, unless a key with the scope `permanent` asks.
    #[param(value_type = Option<bool>, default = false)]
    pub permanent: Option<String>,
    /// The requested lifetime, in seconds; for temporary codes only. The default is
    /// `WXQR_DEFAULT_EXPIRE`.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 2_592_000)]
    pub expire_seconds: Option<String>,
}

/// Why the parameters are invalid. As text, it continues the parameter's name: "must be ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SceneParamsError {
    /// The number cannot be a scene.
    #[error(transparent)]
    SceneId(SceneError),
    /// The text cannot be a scene.
    #[error(transparent)]
    SceneStr(SceneError),
    /// Both a number and a text are given.
    #[error("must not be given together with scene_id")]
    TwoScenes,
    /// Neither a number nor a text is given.
    #[error(
        "is missing: give scene_id (a whole number) or scene_str (1 to {} characters)",
        SceneText::MAX_CHARS
    )]
    NoScene,
    /// `permanent` is another word.
    #[error("must be true or false")]
    Permanent,
    /// The lifetime is out of WeChat's range.
    #[error(transparent)]
    ExpireSeconds(LifetimeError),
    /// A lifetime is given for a permanent code.
    #[error("is for temporary codes only; a permanent code does not expire")]
    PermanentExpires,
}

impl SceneParamsError {
    /// The parameter at fault.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::SceneId(_) | Self::NoScene => "scene_id",
            Self::SceneStr(_) | Self::TwoScenes => "scene_str",
            Self::Permanent => "permanent",
            Self::ExpireSeconds(_) | Self::PermanentExpires => "expire_seconds",
        }
    }
}

impl SceneParams {
    /// Takes the parameters from decoded names and values, and passes over other names.
    pub fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut params = Self::default();
        for (name, value) in pairs {
            let field = match name {
                "scene_id" => &mut params.scene_id,
                "scene_str" => &mut params.scene_str,
                "permanent" => &mut params.permanent,
                "expire_seconds" => &mut params.expire_seconds,
                _ => continue,
            };
            *field = Some(value.to_owned());
        }
        params
    }

    /// Checks the parameters. A temporary code without `expire_seconds` gets `default_expire`.
    ///
    /// # Errors
    /// [`SceneParamsError`], for the first parameter at fault.
    pub fn spec(&self, default_expire: Lifetime) -> Result<CodeSpec, SceneParamsError> {
        if self.is_permanent()? {
            self.permanent_spec()
        } else {
            self.temporary_spec(default_expire)
        }
    }

    fn is_permanent(&self) -> Result<bool, SceneParamsError> {
        match &self.permanent {
            Some(text) => text::boolean(text).ok_or(SceneParamsError::Permanent),
            None => Ok(false),
        }
    }

    fn temporary_spec(&self, default_expire: Lifetime) -> Result<CodeSpec, SceneParamsError> {
        let scene = self.scene(TemporaryScene::Id, TemporaryScene::Text)?;
        let lifetime = match &self.expire_seconds {
            Some(text) => text.parse().map_err(SceneParamsError::ExpireSeconds)?,
            None => default_expire,
        };
        Ok(CodeSpec::Temporary { scene, lifetime })
    }

    fn permanent_spec(&self) -> Result<CodeSpec, SceneParamsError> {
        if self.expire_seconds.is_some() {
            return Err(SceneParamsError::PermanentExpires);
        }
        let scene = self.scene(PermanentScene::Id, PermanentScene::Text)?;
        Ok(CodeSpec::Permanent { scene })
    }

    /// The scene from whichever of the two is given.
    fn scene<I, S>(
        &self,
        by_id: fn(I) -> S,
        by_text: fn(SceneText) -> S,
    ) -> Result<S, SceneParamsError>
    where
        I: FromStr<Err = SceneError>,
    {
        match (&self.scene_id, &self.scene_str) {
            (Some(id), None) => id.parse().map(by_id).map_err(SceneParamsError::SceneId),
            (None, Some(text)) => text
                .parse()
                .map(by_text)
                .map_err(SceneParamsError::SceneStr),
            (Some(_), Some(_)) => Err(SceneParamsError::TwoScenes),
            (None, None) => Err(SceneParamsError::NoScene),
        }
    }
}
