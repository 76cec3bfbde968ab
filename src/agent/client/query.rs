//! The parameters of `GET /peers`.

use reqwest::Url;

use crate::protocol::PeerId;

/// Which peers to list, and which part of the list; the default is the first page of all active
/// peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersQuery {
    /// The size of a uniform random sample, in peers; `None` lists a page instead.
    pub limit: Option<u32>,
    /// List the page after this cursor, which comes from [`PeersResponse::next_cursor`].
    ///
    /// [`PeersResponse::next_cursor`]: crate::protocol::PeersResponse::next_cursor
    pub cursor: Option<String>,
    /// Only peers that relay, or only those that do not.
    pub turn_capable: Option<bool>,
    /// Only peers that help to bootstrap, or only those that do not.
    pub bootstrap_capable: Option<bool>,
    /// Only peers of this network.
    pub network_id: Option<String>,
    /// Only peers that serve this store.
    pub store: Option<String>,
    /// Only peers of this protocol version.
    pub version: Option<String>,
    /// Leave out this peer.
    pub exclude: Option<PeerId>,
    /// Whether to list the stores of each peer.
    pub include_stores: bool,
    /// Whether to list the capabilities of each peer.
    pub include_capabilities: bool,
}

impl PeersQuery {
    /// Selects a random sample of `limit` peers.
    pub fn sample(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            ..Self::default()
        }
    }

    /// Adds the parameters that are set to the query of `url`.
    pub(crate) fn write_to(&self, url: &mut Url) {
        let flag = |flag: bool| Some(flag.to_string());
        let parameters = [
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor.clone()),
            ("turnCapable", self.turn_capable.and_then(flag)),
            ("bootstrapCapable", self.bootstrap_capable.and_then(flag)),
            ("networkId", self.network_id.clone()),
            ("store", self.store.clone()),
            ("version", self.version.clone()),
            ("exclude", self.exclude.as_ref().map(PeerId::to_string)),
            (
                "includeStores",
                self.include_stores.then(|| true.to_string()),
            ),
            (
                "includeCapabilities",
                self.include_capabilities.then(|| true.to_string()),
            ),
        ];
        let given = parameters
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        if given.clone().next().is_some() {
            url.query_pairs_mut().extend_pairs(given);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_that_are_set_are_written_and_escaped() {
        let mut url = Url::parse("http://r/peers").unwrap();
        PeersQuery::default().write_to(&mut url);
        assert_eq!(url.as_str(), "http://r/peers");
        let query = PeersQuery {
            network_id: Some("a&b=c".to_owned()),
            turn_capable: Some(false),
            include_stores: true,
            ..PeersQuery::sample(5)
        };
        query.write_to(&mut url);
        assert_eq!(
            url.query(),
            Some("limit=5&turnCapable=false&networkId=a%26b%3Dc&includeStores=true")
        );
    }
}
