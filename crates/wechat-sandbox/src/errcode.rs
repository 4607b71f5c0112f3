//! WeChat's errcodes that the sandbox answers, with their messages.

/// An error code of WeChat's. Never 0, which means success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errcode(pub(crate) i64);

impl Errcode {
    pub(crate) const INVALID_CREDENTIAL: Self = Self(40001);
    pub(crate) const INVALID_GRANT_TYPE: Self = Self(40002);
    pub(crate) const INVALID_APP_ID: Self = Self(40013);
    pub(crate) const INVALID_ACTION_NAME: Self = Self(40052);
    pub(crate) const INVALID_ACTION_INFO: Self = Self(40053);
    pub(crate) const INVALID_URL: Self = Self(40066);
    pub(crate) const INVALID_APP_SECRET: Self = Self(40125);
    pub(crate) const ACCESS_TOKEN_MISSING: Self = Self(41001);
    pub(crate) const APP_ID_MISSING: Self = Self(41002);
    pub(crate) const APP_SECRET_MISSING: Self = Self(41004);
    pub(crate) const ACCESS_TOKEN_EXPIRED: Self = Self(42001);
    pub(crate) const REQUIRES_GET: Self = Self(43001);
    pub(crate) const REQUIRES_POST: Self = Self(43002);
    pub(crate) const EMPTY_BODY: Self = Self(44002);
    pub(crate) const DAILY_LIMIT: Self = Self(45009);
    pub(crate) const TOO_FREQUENT: Self = Self(45011);
    pub(crate) const STOCK_EXHAUSTED: Self = Self(45029);
    pub(crate) const BAD_JSON: Self = Self(47001);

    /// WeChat's `errmsg`, without the ` rid: ...` that it appends.
    pub(crate) fn errmsg(self) -> &'static str {
        match self.0 {
            -1 => "system error",
            40001 => {
                "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken"
            }
            40002 => "invalid grant_type",
            40013 => "invalid appid",
            40014 => "invalid access_token",
            40033 => {
                "invalid charset. please check your request, if include \\uxxxx will create fail!"
            }
            40052 => "invalid action name",
            40053 => "invalid action info",
            40066 => "invalid url",
            40125 => "invalid appsecret",
            // The address is from the block that RFC 5737 keeps for documentation.
            40164 => "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
            40243 => "AppSecret is frozen",
            41001 => "access_token missing",
            41002 => "appid missing",
            41004 => "appsecret missing",
            42001 => "access_token expired",
            43001 => "require GET method",
            43002 => "require POST method",
            44002 => "empty post data",
            45009 => "reach max api daily quota limit",
            45011 => "api minute-quota reach limit, must slower, retry next minute",
            45029 => "qrcode count out of limit",
            47001 => "data format error",
            48001 => "api unauthorized",
            48004 => "api forbidden for irregularities",
            50002 => "user limited",
            _ => "sandbox fault",
        }
    }
}
