//! Removes slashes that have no meaning from the path of a request.

use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;

/// Returns `uri` with single slashes and none at the end of its path; `None` if it already is so.
///
/// Nodes join the URL of a registry and a path, and both may bring a slash: `//register`. The
/// middleware of actix-web does the same, but runs a regular expression on each request.
pub(crate) fn without_extra_slashes(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let has_extra = (path.len() > 1 && path.ends_with('/')) || path.contains("//");
    if !has_extra {
        return None;
    }
    let mut plain = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        plain.push('/');
        plain.push_str(segment);
    }
    if plain.is_empty() {
        plain.push('/');
    }
    let target = match uri.query() {
        Some(query) => format!("{plain}?{query}"),
        None => plain,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_extra_slashes_are_removed() {
        for (given, plain) in [
            ("//register", "/register"),
            ("/peers/", "/peers"),
            ("///peers///?limit=1//2/", "/peers?limit=1//2/"),
            ("//admin//mode/", "/admin/mode"),
            ("//", "/"),
        ] {
            let given = Uri::try_from(given).unwrap();
            let uri = without_extra_slashes(&given).unwrap();
            assert_eq!(uri.to_string(), plain, "{given}");
        }
        for given in ["/", "/peers", "/peers?a=//", "http://host/peers"] {
            let given = Uri::try_from(given).unwrap();
            assert_eq!(without_extra_slashes(&given), None, "{given}");
        }
    }
}
