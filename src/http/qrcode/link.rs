//! Links to codes, signed where visitors need a signature to mint.

use wechat::scene::{Lifetime, Scene};

use crate::access::{Caller, LinkKeys, Mode, Scope};
use crate::http::extract::query::QrcodeQuery;

/// The query of a link to a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkQuery(Vec<(String, String)>);

impl LinkQuery {
    /// The code and picture that a request asked for.
    pub(crate) fn of(query: &QrcodeQuery) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(query.picture_link_pairs().map(owned).collect())
    }

    /// The code of a scene, with the lifetime to ask for; none for a permanent one.
    pub(crate) fn to(scene: &Scene, life: Option<Lifetime>) -> Self {
        let value = scene.value();
        let mut pairs = vec![(value.field().to_owned(), value.to_string())];
        if scene.kind().is_permanent() {
            pairs.push(("permanent".to_owned(), "true".to_owned()));
        }
        if let Some(life) = life {
            pairs.push(("expire_seconds".to_owned(), life.as_secs().to_string()));
        }
        Self(pairs)
    }

    fn takes_signature(&self) -> bool {
        let is_permanent = self.pairs().any(|pair| pair == ("permanent", "true"));
        let is_signed = self.pairs().any(|(name, _)| name == "sig");
        !is_permanent && !is_signed
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Signs links in responses, for callers that may mint to pass on.
#[derive(Debug, Clone)]
pub struct LinkSigner {
    mode: Mode,
    keys: LinkKeys,
}

impl LinkSigner {
    /// Signs with the first of the keys, where the mode is [`Mode::Signed`].
    pub fn new(mode: Mode, keys: LinkKeys) -> Self {
        Self { mode, keys }
    }

    /// Whether responses differ by caller, because some are given signed links.
    pub(crate) fn is_active(&self) -> bool {
        self.mode == Mode::Signed
    }

    /// Signs a link for a caller that could mint the code, unless it is signed already or the code
    /// is permanent.
    pub(crate) fn signed_for(&self, caller: &Caller, mut link: LinkQuery) -> LinkQuery {
        if self.is_active() && caller.allows(Scope::Mint) && link.takes_signature() {
            let sig = self.keys.sign(link.pairs());
            link.0.extend(sig.map(|sig| ("sig".to_owned(), sig)));
        }
        link
    }
}
