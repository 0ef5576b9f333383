//! The `Link` header (RFC 8288), as far as GitHub's lists use it.

use reqwest::Url;

/// The address of the next page.
pub(super) fn next(header: &str) -> Option<Url> {
    let mut links = header.split('<').skip(1).filter_map(|link| link.split_once('>'));
    let (address, _) = links.find(|(_, parameters)| {
        let mut parameters = parameters.split([';', ',']).map(str::trim);
        parameters.any(|parameter| matches!(parameter, "rel=\"next\"" | "rel=next"))
    })?;
    Url::parse(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let next = |header: &str| next(header).map(|url| url.to_string());
        let one = "https://api.github.com/x?cursor=v1_2%2C3&per_page=100";
        assert_eq!(next(&format!("<{one}>; rel=\"next\"")).as_deref(), Some(one));
        let both = format!("<https://a.b/x?page=1>; rel=\"prev\", <{one}>; rel=\"next\"");
        assert_eq!(next(&both).as_deref(), Some(one));
        for none in ["", "<https://a.b/x>; rel=\"last\"", "<nonsense>; rel=\"next\"", "rel=\"next\""] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
