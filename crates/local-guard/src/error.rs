//! Why a request is refused, in English and Chinese.

/// A request that another web site may have made a browser send. `Display` is English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignRequest {
    /// There are several `Host` headers, or one that is no host.
    #[error("the Host header must be there once and name a host")]
    AmbiguousHost,
    /// The host is not trusted: DNS rebinding, or a name that is not configured.
    #[error(
        "the Host header names an unknown host, as in DNS rebinding; accepted: IP \
         addresses, names without a dot, names that end in .localhost, .local, .internal, .lan, .home.arpa, .test and the \
         like, and the host of {setting}"
    )]
    UnknownHost {
        /// What a user sets so that the name is accepted.
        setting: &'static str,
    },
    /// A page of another origin made the browser send it (CSRF).
    #[error(
        "another web site made the browser send this request (Origin, Sec-Fetch-Site); accepted: requests of this \
         address's own pages, and of programs, which send neither header"
    )]
    CrossOrigin,
}

impl ForeignRequest {
    /// The reason in Chinese, without its full stop.
    pub fn zh(self) -> String {
        match self {
            Self::AmbiguousHost => "请求头 Host 必须只有一个，并且是主机名".to_owned(),
            Self::UnknownHost { setting } => format!(
                "请求头 Host 中的域名未知，可能是其他网站用 DNS 重绑定发来的请求；可以使用：IP 地址、不含点的主机名、以 \
                 .localhost、.local、.internal、.lan、.home.arpa、.test 等结尾的内部域名，以及 {setting} 的域名"
            ),
            Self::CrossOrigin => {
                "这个请求是其他网站让浏览器发来的（Origin、Sec-Fetch-Site）；可以使用：本地址自己的页面，以及不带这两个请求头的程序"
                    .to_owned()
            }
        }
    }
}
