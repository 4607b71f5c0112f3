//! WeChat's JSON format. Private to the client: the rest of the service uses validated values only.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::errcode::Errcode;
use super::error::{ApiError, Error};
use crate::scene::{CodeSpec, Lifetime, SceneValue};

/// The byte-order mark that some encoders write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The body of `stable_token`. Has no `Debug`, because it contains the secret.
#[derive(Serialize)]
pub(super) struct StableTokenBody<'a> {
    pub(super) grant_type: &'static str,
    pub(super) appid: &'a str,
    pub(super) secret: &'a str,
    pub(super) force_refresh: bool,
}

/// The body of `qrcode/create`, with exactly the documented fields of each of the four kinds.
#[derive(Debug, Serialize)]
pub(super) struct CreateBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_seconds: Option<u32>,
    action_name: &'static str,
    action_info: ActionInfo<'a>,
}

#[derive(Debug, Serialize)]
struct ActionInfo<'a> {
    scene: SceneField<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum SceneField<'a> {
    SceneId(u32),
    SceneStr(&'a str),
}

impl CreateBody<'_> {
    /// Encodes as raw UTF-8: WeChat is known to take `\uXXXX` escapes for literal text.
    pub(super) fn json(spec: &CodeSpec) -> String {
        let scene = spec.scene();
        let body = CreateBody {
            expire_seconds: spec.lifetime().map(Lifetime::as_secs),
            action_name: scene.kind().action_name(),
            action_info: ActionInfo {
                scene: match scene.value() {
                    SceneValue::Id(id) => SceneField::SceneId(id),
                    SceneValue::Text(text) => SceneField::SceneStr(text),
                },
            },
        };
        serde_json::to_string(&body).expect("numbers and strings are always JSON")
    }
}

/// The answer of both token calls. Has no `Debug`, because it contains the token.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(super) access_token: String,
    pub(super) expires_in: LenientInteger,
}

/// The answer of `qrcode/create`. `expire_seconds` is parsed for temporary codes only, because
/// permanent ones have none. Has no `Debug`, which would print the whole ticket.
#[derive(Deserialize)]
pub(crate) struct CreateAnswer {
    pub(super) ticket: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) expire_seconds: Value,
}

/// An integer in a lenient notation: `7200`, `"7200"`, `" 7200 "`, `7200.0` or `"7.2e3"`.
///
/// WeChat itself writes plain numbers; token servers and proxies that decode and encode its answers
/// do not always. A number beyond 64 bits saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct LenientInteger(pub(super) i64);

impl LenientInteger {
    /// Parses an optional value; null and an empty string count as absent.
    pub(super) fn optional(value: &Value) -> Result<Option<Self>, NotAnInteger> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) if text.trim().is_empty() => Ok(None),
            value => value.try_into().map(Some),
        }
    }

    /// Excludes infinity, which strings such as `"1e400"` parse to: its fraction is not zero.
    fn of_float(number: f64) -> Option<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, which is wanted"
        )]
        (number.fract() == 0.0).then_some(Self(number as i64))
    }

    fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        // Excludes the words that parse as a float, such as "inf".
        let is_numeric = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        match text.parse() {
            Ok(number) => Some(Self(number)),
            Err(_) if text.chars().all(is_numeric) => Self::of_float(text.parse().ok()?),
            Err(_) => None,
        }
    }
}

impl TryFrom<&Value> for LenientInteger {
    type Error = NotAnInteger;

    fn try_from(value: &Value) -> Result<Self, NotAnInteger> {
        let read = match value {
            Value::Number(number) => number
                .as_i64()
                .map(Self)
                .or_else(|| Self::of_float(number.as_f64()?)),
            Value::String(text) => Self::of_text(text),
            _ => None,
        };
        read.ok_or(NotAnInteger)
    }
}

impl TryFrom<Value> for LenientInteger {
    type Error = NotAnInteger;

    fn try_from(value: Value) -> Result<Self, NotAnInteger> {
        Self::try_from(&value)
    }
}

/// The value is not an integer in any notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an integer")]
pub(super) struct NotAnInteger;

/// Decodes an answer: an error if it has a non-zero `errcode`, otherwise the requested fields.
///
/// WeChat's bodies may contain raw control characters and invalid UTF-8 and begin with a byte-order
/// mark, and numbers may be strings; the content type is not reliable and is ignored.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .map(|c| if c.is_ascii_control() { ' ' } else { c })
        .collect();
    let answer: Value = serde_json::from_str(&text).map_err(|_| Error::Invalid("not JSON"))?;
    if !answer.is_object() {
        return Err(Error::Invalid("not a JSON object"));
    }
    match errcode(&answer) {
        None => serde_json::from_value(answer)
            .map_err(|_| Error::Invalid("a field is missing or of another type")),
        Some(errcode) => {
            let errmsg = answer
                .get("errmsg")
                .and_then(Value::as_str)
                .unwrap_or_default();
            Err(Error::Refused(ApiError {
                errcode,
                errmsg: errmsg.to_owned(),
            }))
        }
    }
}

/// The error that an answer names, if any: 0 is success.
fn errcode(answer: &Value) -> Option<Errcode> {
    let LenientInteger(number) = answer.get("errcode")?.try_into().ok()?;
    Some(number).filter(|&number| number != 0).map(Errcode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{PermanentScene, TemporaryScene};

    #[test]
    fn each_kind_has_its_documented_request_body() {
        let life: Lifetime = "604800".parse().unwrap();
        for (spec, want) in [
            (
                CodeSpec::Temporary {
                    scene: TemporaryScene::Id("123".parse().unwrap()),
                    lifetime: life,
                },
                r#"{"expire_seconds":604800,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":123}}}"#,
            ),
            (
                CodeSpec::Temporary {
                    scene: TemporaryScene::Text("展会 A\"".parse().unwrap()),
                    lifetime: life,
                },
                r#"{"expire_seconds":604800,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"展会 A\""}}}"#,
            ),
            (
                CodeSpec::Permanent {
                    scene: PermanentScene::Id("123".parse().unwrap()),
                },
                r#"{"action_name":"QR_LIMIT_SCENE","action_info":{"scene":{"scene_id":123}}}"#,
            ),
            (
                CodeSpec::Permanent {
                    scene: PermanentScene::Text("123".parse().unwrap()),
                },
                r#"{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene":{"scene_str":"123"}}}"#,
            ),
        ] {
            assert_eq!(CreateBody::json(&spec), want);
        }
    }

    #[test]
    fn answers_are_decoded_leniently() {
        let good =
            r#"{"ticket":"errcode","expire_seconds":60,"url":"http:\/\/weixin.qq.com\/q\/a"}"#;
        let answer: CreateAnswer = decode(good.as_bytes()).unwrap();
        assert_eq!(
            (answer.ticket.as_str(), answer.url.as_str()),
            ("errcode", "http://weixin.qq.com/q/a")
        );

        for (body, want) in [
            (
                r#"{"errcode":0,"errmsg":"ok","ticket":"t","url":"u"}"#,
                None,
            ),
            (r#"{"errcode":"0","ticket":"t","url":"u"}"#, None),
            (r#"{"errcode":40013,"errmsg":"invalid appid"}"#, Some(40013)),
            (r#"{"errcode":"40013"}"#, Some(40013)),
            (r#"{"errcode":" 40013 "}"#, Some(40013)),
            (r#"{"errcode":40013.0}"#, Some(40013)),
            (r#"{"errcode":"-1"}"#, Some(-1)),
            (r#"{"errcode":0.0,"ticket":"t","url":"u"}"#, None),
            (r#"{"errcode":null,"ticket":"t","url":"u"}"#, None),
            (r#"{"ticket":"t","url":"u","expire_seconds":null}"#, None),
            (r#"{"ticket":"t","url":"u","expire_seconds":"60"}"#, None),
            (r#"{"ticket":"t","url":"u","expire_seconds":[]}"#, None),
            ("\u{feff}{\"errcode\":40013}", Some(40013)),
            (
                "{\"errcode\":-1,\"errmsg\":\"system\u{1} busy\n\"}",
                Some(-1),
            ),
        ] {
            let got = match decode::<CreateAnswer>(body.as_bytes()) {
                Ok(_) => None,
                Err(Error::Refused(refusal)) => Some(refusal.errcode.0),
                Err(other) => panic!("input {body:?}: {other}"),
            };
            assert_eq!(got, want, "input {body:?}");
        }
    }

    #[test]
    fn integers_may_be_quoted_or_have_a_zero_fraction() {
        for (text, want) in [
            ("7200", Some(7200)),
            ("7200.0", Some(7200)),
            ("7.2e3", Some(7200)),
            ("-1", Some(-1)),
            (r#""7200""#, Some(7200)),
            (r#"" 7200 ""#, Some(7200)),
            (r#""7200.0""#, Some(7200)),
            (r#""-1""#, Some(-1)),
            (r#""""#, None),
            (r#"" ""#, None),
            (r#""7200s""#, None),
            (r#""7,200""#, None),
            (r#""７２００""#, None),
            (r#""7.2e3""#, Some(7200)),
            (r#""7.2E+3""#, Some(7200)),
            ("18446744073709551615", Some(i64::MAX)),
            ("18446744073709551616", Some(i64::MAX)),
            (r#""99999999999999999999""#, Some(i64::MAX)),
            (r#""-99999999999999999999""#, Some(i64::MIN)),
            (r#""1e400""#, None),
            (r#""e3""#, None),
            (r#""NaN""#, None),
            (r#""inf""#, None),
            (r#""7200.5""#, None),
            ("7200.5", None),
            ("1e300", Some(i64::MAX)),
            ("true", None),
            ("null", None),
            ("[7200]", None),
            ("{}", None),
        ] {
            let got = serde_json::from_str::<LenientInteger>(text).ok();
            assert_eq!(got.map(|LenientInteger(n)| n), want, "input {text}");
        }
    }

    #[test]
    fn an_absent_value_is_none_and_an_invalid_one_is_an_error() {
        for (text, want) in [
            ("null", Ok(None)),
            (r#""""#, Ok(None)),
            (r#"" ""#, Ok(None)),
            (r#""60""#, Ok(Some(LenientInteger(60)))),
            ("true", Err(NotAnInteger)),
            ("[]", Err(NotAnInteger)),
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(LenientInteger::optional(&value), want, "input {text}");
        }
    }

    #[test]
    fn malformed_answers_are_invalid() {
        for body in [
            "",
            "null",
            "[]",
            "\"x\"",
            "<html>",
            "{\"ticket\":1,\"url\":2}",
            "{\"ticket\":\"t\"}",
        ] {
            assert!(
                matches!(
                    decode::<CreateAnswer>(body.as_bytes()),
                    Err(Error::Invalid(_))
                ),
                "input {body:?}"
            );
        }
        assert!(matches!(
            decode::<CreateAnswer>(b"{\"ticket\":\"\xff\xfe"),
            Err(Error::Invalid(_))
        ));
    }
}
