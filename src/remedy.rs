//! What the account's owner does about an errcode, in the words of this service's settings.

use wechat::Errcode;

const REPORT: &str = "report it as a bug of wxqr";
const ADMIN: &str = "let an administrator of the account confirm this address in WeChat";
const UNKNOWN: &str = "look the code up in WeChat's documentation";

/// What the account's owner can do about an errcode.
pub fn for_errcode(errcode: Errcode) -> &'static str {
    match errcode.0 {
        -1 => "none: it is tried again",
        40001 | 41004 => "check WXQR_APP_SECRET",
        40002 | 40052 | 41001 | 43002 | 44002 | 47001 => REPORT,
        40013 | 41002 => "check WXQR_APP_ID",
        40014 | 42001 => "none: it is renewed",
        40033 => "use another scene_str",
        40053 => "use another scene",
        40125 => "check WXQR_APP_SECRET; it may have been reset",
        40164 => "add the address to the account's IP allow-list",
        40243 => "unfreeze it in WeChat's developer console",
        43003 => "check WXQR_API_BASE",
        45009 => "wait for the next day, or clear the quota in the console",
        45011 => "none: calls stop for a minute",
        45029 => "use temporary codes",
        48001 => "parametric codes need a verified service account",
        48004 | 50002 => "see the notices in WeChat's console",
        89501 | 89503 | 89506 | 89507 => ADMIN,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_errcode_has_a_remedy() {
        for errcode in Errcode::documented() {
            assert_ne!(for_errcode(errcode), UNKNOWN, "{errcode}");
        }
        assert_eq!(for_errcode(Errcode(99_999)), UNKNOWN);
    }
}
