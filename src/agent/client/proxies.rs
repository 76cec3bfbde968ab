//! The proxies that the environment names.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::sanitize::shown;

/// The address of the proxy for `url` without a password; `None` if there is none.
pub(crate) fn proxy_for(url: &Url) -> Option<Url> {
    let target = url.as_str().parse().ok()?;
    // The HTTP client decides in the same way.
    let proxy = Matcher::from_env().intercept(&target)?;
    Url::parse(&proxy.uri().to_string()).ok().map(|url| {
        // What is shown has no password.
        Url::parse(&shown(&url)).unwrap_or(url)
    })
}

/// The variable that should hold the address of the proxy for `url`, but holds something else; `None`
/// if there is none.
///
/// The HTTP client then sends its requests without a proxy, or to a wrong port.
pub(crate) fn malformed_variable(url: &Url) -> Option<&'static str> {
    malformed(url, |name| env::var(name).ok())
}

fn malformed(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    // The first that is set counts, even if it is empty.
    let first = |names: [&'static str; 2]| {
        let value = |name| variable(name).map(|value| (name, value));
        names.into_iter().find_map(value)
    };
    let is_given = |(_, value): &(&str, String)| !value.is_empty();
    let names = match url.scheme() {
        "https" => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let own = first(names).filter(is_given);
    let (name, value) = own.or_else(|| first(["ALL_PROXY", "all_proxy"]).filter(is_given))?;
    let (_, except) = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let target = url.as_str().parse().ok()?;
    let any = Matcher::builder().all("http://proxy.invalid").no(except);
    let is_excepted = any.build().intercept(&target).is_none();
    let matcher = Matcher::builder().all(value).build();
    let is_proxy = matcher.intercept(&target).is_some_and(|proxy| {
        let uri = proxy.uri();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // The HTTP client takes a port that is no number for none.
        let has_port = uri.port_u16().is_some() || uri.host() == Some(authority);
        has_port && uri.host().is_some_and(|host| !host.is_empty())
    });
    (!is_excepted && !is_proxy).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed_in(variables: &[(&str, &str)], url: &str) -> Option<&'static str> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        malformed(&Url::parse(url).unwrap(), value)
    }

    #[test]
    fn a_variable_without_the_address_of_a_proxy_is_named() {
        let https = "https://r.org";
        for good in [
            "http://proxy:3128",
            "proxy:3128",
            "proxy",
            "http://me:pw@proxy:3128/",
            "https://proxy",
            "http://[::1]:3128",
            "http://[::1]",
            "socks5h://127.0.0.1:9050",
            "",
        ] {
            assert_eq!(
                malformed_in(&[("HTTPS_PROXY", good)], https),
                None,
                "{good}"
            );
        }
        for bad in [
            "htp://proxy:3128",
            "http://proxy:31 28",
            "http://",
            "http:/proxy:3128",
            "http://proxy:port",
            ":3128",
            "ftp://proxy",
        ] {
            let named = malformed_in(&[("HTTPS_PROXY", bad)], https);
            assert_eq!(named, Some("HTTPS_PROXY"), "{bad}");
            assert_eq!(malformed_in(&[("HTTPS_PROXY", bad)], "http://r.org"), None);
        }
    }

    #[test]
    fn only_the_variable_that_counts_is_named() {
        let bad = "htp://proxy";
        let all = [("ALL_PROXY", bad), ("HTTP_PROXY", "http://proxy")];
        assert_eq!(malformed_in(&all, "http://r.org"), None);
        assert_eq!(malformed_in(&all, "https://r.org"), Some("ALL_PROXY"));
        let excepted = [("https_proxy", bad), ("no_proxy", "r.org")];
        assert_eq!(malformed_in(&excepted, "https://r.org"), None);
        assert_eq!(
            malformed_in(&excepted, "https://q.org"),
            Some("https_proxy")
        );
    }
}
