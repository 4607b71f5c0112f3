//! What each number means, in both languages, for the API, the CSV file and the page.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::i18n::lang::Lang;

/// What each number counts, in one language.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Definitions {
    /// Of `scans`.
    pub(crate) scans: &'static str,
    /// Of `people`.
    pub(crate) people: &'static str,
    /// Of `new_followers`.
    pub(crate) new_followers: &'static str,
    /// Of `lost`.
    pub(crate) lost: &'static str,
    /// Of `net`.
    pub(crate) net: &'static str,
    /// Of rows that are not `attributed`.
    pub(crate) unattributed: &'static str,
}

impl Definitions {
    pub(crate) fn of(lang: Lang) -> Self {
        match lang {
            Lang::Zh => CHINESE,
            Lang::En => ENGLISH,
        }
    }
}

const ENGLISH: Definitions = Definitions {
    scans: "Scans by followers, and follows through the code. What WeChat repeats counts once.",
    people: "Different people among them. A person who scans on two days counts on each day, and once in a total.",
    new_followers: "People who followed through a code, each once, for the code that brought them first.",
    lost: "New followers who do not follow any more.",
    net: "New followers minus lost.",
    unattributed: "Scans with a ticket that this service does not know, counted by their scene only.",
};

const CHINESE: Definitions = Definitions {
    scans: "已关注者扫码和通过该码关注的总次数，微信重复推送的只计一次。",
    people: "扫码者去重后的人数。同一人在两天扫码，每天各计一次，合计只计一次。",
    new_followers: "通过带参数二维码关注的人数，每人只计一次，计入最先带来他的那个码。",
    lost: "新增关注中，现在已取消关注的人数。",
    net: "新增关注减去流失。",
    unattributed: "ticket 不是本服务已知的，只按场景值计数。",
};

/// The names of the numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberNames {
    pub(crate) scans: &'static str,
    pub(crate) people: &'static str,
    pub(crate) new_followers: &'static str,
    pub(crate) lost: &'static str,
    pub(crate) net: &'static str,
}

impl NumberNames {
    pub(crate) fn of(lang: Lang) -> Self {
        Self {
            scans: lang.pick("扫码次数", "Scans"),
            people: lang.pick("扫码人数", "People"),
            new_followers: lang.pick("新增关注", "New followers"),
            lost: lang.pick("流失", "Lost"),
            net: lang.pick("净增", "Net"),
        }
    }

    /// Each number's field and name.
    pub(crate) fn pairs(&self) -> [(&'static str, &'static str); 5] {
        [
            ("scans", self.scans),
            ("people", self.people),
            ("new_followers", self.new_followers),
            ("lost", self.lost),
            ("net", self.net),
        ]
    }
}
