//! The query of `GET /peers`.

use super::parameters::Parameters;
use super::spelling::Name;
use super::{Limits, PeerId, RequestError};

/// The properties that a peer must have to be listed; a field that is `None` accepts every peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFilter {
    /// Only peers that relay, or only those that do not.
    pub turn_capable: Option<bool>,
    /// Only peers that help to bootstrap, or only those that do not.
    pub bootstrap_capable: Option<bool>,
    /// Only peers whose registration is proven, or only the others.
    pub authenticated: Option<bool>,
    /// Only peers of this network.
    pub network_id: Option<String>,
    /// Only peers that serve this store.
    pub store: Option<String>,
    /// Only peers of this protocol version.
    pub version: Option<String>,
    /// Leave out this peer.
    pub exclude: Option<PeerId>,
}

/// Which peers to list, and which part of the list; the default is the first page of all active
/// peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersQuery {
    /// Which peers to list.
    pub filter: PeerFilter,
    /// The size of a uniform random sample, in peers; `None` lists a page instead.
    pub limit: Option<u32>,
    /// List the page after this cursor, which comes from [`PeersResponse::next_cursor`].
    ///
    /// [`PeersResponse::next_cursor`]: super::PeersResponse::next_cursor
    pub cursor: Option<String>,
    /// Whether to list the stores of each peer.
    pub include_stores: bool,
    /// Whether to list the capabilities of each peer.
    pub include_capabilities: bool,
}

impl From<PeerFilter> for PeersQuery {
    /// Selects the first page of the peers that match.
    fn from(filter: PeerFilter) -> Self {
        Self {
            filter,
            ..Self::default()
        }
    }
}

const TURN_CAPABLE: &str = "turnCapable";
const BOOTSTRAP_CAPABLE: &str = "bootstrapCapable";
const AUTHENTICATED: &str = "authenticated";
const NETWORK_ID: &str = "networkId";
const STORE: &str = "store";
const VERSION: &str = "version";
const EXCLUDE: &str = "exclude";
const LIMIT: &str = "limit";
const CURSOR: &str = "cursor";
const INCLUDE_STORES: &str = "includeStores";
const INCLUDE_CAPABILITIES: &str = "includeCapabilities";

/// All parameters, each with other words for it.
const NAMES: [Name; 11] = [
    named(
        TURN_CAPABLE,
        &[
            "turn",
            "turnserver",
            "turnenabled",
            "turnsupport",
            "turnsupported",
            "relay",
            "relaycapable",
        ],
    ),
    named(
        BOOTSTRAP_CAPABLE,
        &[
            "bootstrap",
            "bootstrapper",
            "bootstrapnode",
            "bootstrapserver",
        ],
    ),
    named(
        AUTHENTICATED,
        &["auth", "authentication", "proven", "verified", "claimed"],
    ),
    named(
        NETWORK_ID,
        &[
            "net",
            "netid",
            "nid",
            "network",
            "networkname",
            "chain",
            "chainid",
        ],
    ),
    named(STORE, &["storeid", "datastore", "datastoreid"]),
    named(
        VERSION,
        &["ver", "protocol", "protocolversion", "peerversion"],
    ),
    named(
        EXCLUDE,
        &["except", "omit", "excluding", "without", "notpeer"],
    ),
    named(
        LIMIT,
        &[
            "max",
            "lim",
            "count",
            "size",
            "sample",
            "maxpeer",
            "maxresult",
            "pagesize",
            "perpage",
        ],
    ),
    named(CURSOR, &["after", "startafter", "pagetoken"]),
    named(INCLUDE_STORES, &["withstore", "showstore", "getstore"]),
    named(INCLUDE_CAPABILITIES, &["cap", "includecap", "capability"]),
];

const fn named(name: &'static str, synonyms: &'static [&'static str]) -> Name {
    Name { name, synonyms }
}

impl PeersQuery {
    /// Selects a random sample of `limit` peers.
    pub fn sample(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            ..Self::default()
        }
    }

    /// Parses the query string of a request.
    ///
    /// A parameter with an empty value counts as absent, and a flag without a value as true. Unknown
    /// parameters are ignored, except those that look like a misspelled known one: without its filter
    /// a client would get the peers of all networks and not notice.
    ///
    /// # Errors
    /// `invalid_field`, which names the parameter at fault. The cursor is not checked: only the
    /// registry that made it knows its form.
    pub fn parse(query: &str, limits: &Limits) -> Result<Self, RequestError> {
        let mut parameters = Parameters::parse(query, &NAMES)?;
        let limit = parameters.count(LIMIT)?;
        let cursor = parameters.value(CURSOR);
        if limit.is_some() && cursor.is_some() {
            return Err(RequestError::invalid(
                CURSOR,
                "left out with limit: limit draws a sample, cursor turns the pages of a listing",
            ));
        }
        Ok(Self {
            filter: PeerFilter {
                turn_capable: parameters.flag(TURN_CAPABLE)?,
                bootstrap_capable: parameters.flag(BOOTSTRAP_CAPABLE)?,
                authenticated: parameters.flag(AUTHENTICATED)?,
                network_id: parameters.trimmed_text(NETWORK_ID, limits.string_bytes)?,
                store: parameters.text(STORE, limits.store_bytes)?,
                version: parameters.text(VERSION, limits.string_bytes)?,
                exclude: parameters.peer_id(EXCLUDE, limits)?,
            },
            limit,
            cursor,
            include_stores: parameters.flag(INCLUDE_STORES)?.unwrap_or(false),
            include_capabilities: parameters.flag(INCLUDE_CAPABILITIES)?.unwrap_or(false),
        })
    }

    /// Returns the names and values of the parameters that are set, unescaped.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let flag = |flag: bool| Some(flag.to_string());
        let included = |included: bool| included.then(|| true.to_string());
        let parameters = [
            (LIMIT, self.limit.map(|limit| limit.to_string())),
            (CURSOR, self.cursor.clone()),
            (TURN_CAPABLE, filter.turn_capable.and_then(flag)),
            (BOOTSTRAP_CAPABLE, filter.bootstrap_capable.and_then(flag)),
            (AUTHENTICATED, filter.authenticated.and_then(flag)),
            (NETWORK_ID, filter.network_id.clone()),
            (STORE, filter.store.clone()),
            (VERSION, filter.version.clone()),
            (EXCLUDE, filter.exclude.as_ref().map(PeerId::to_string)),
            (INCLUDE_STORES, included(self.include_stores)),
            (INCLUDE_CAPABILITIES, included(self.include_capabilities)),
        ];
        let set = parameters.into_iter();
        set.filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<PeersQuery, RequestError> {
        PeersQuery::parse(query, &Limits::default())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let limits = Limits::default();
        let query = PeersQuery {
            filter: PeerFilter {
                turn_capable: Some(false),
                bootstrap_capable: Some(true),
                authenticated: Some(true),
                network_id: Some("a&b=c +%".to_owned()),
                store: Some("s".to_owned()),
                version: Some("1.0".to_owned()),
                exclude: Some(PeerId::parse("p-1", "exclude", &limits).unwrap()),
            },
            include_stores: true,
            include_capabilities: true,
            ..PeersQuery::sample(5)
        };
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query.pairs());
        assert_eq!(parse(&text.finish()), Ok(query));
        assert_eq!(PeersQuery::default().pairs(), []);
    }

    #[test]
    fn an_empty_filter_is_no_filter_and_a_flag_needs_no_value() {
        for empty in [
            "networkId=",
            "store=&version=",
            "exclude=&limit=&cursor=",
            "&&",
            "turnCapable=",
        ] {
            assert_eq!(parse(empty), Ok(PeersQuery::default()), "{empty}");
        }
        for (text, flag) in [
            ("turnCapable", true),
            ("turnCapable=True", true),
            ("turnCapable=TRUE", true),
            ("turnCapable=1", true),
            ("turnCapable=%20yes", true),
            ("turnCapable=False", false),
            ("turnCapable=0", false),
        ] {
            assert_eq!(
                parse(text).unwrap().filter.turn_capable,
                Some(flag),
                "{text}"
            );
        }
        assert!(
            parse("includeStores&includeCapabilities")
                .unwrap()
                .include_stores
        );
        assert!(parse("turnCapable=maybe").is_err());
    }

    #[test]
    fn a_misspelled_parameter_is_named_and_others_are_ignored() {
        for (given, meant) in [
            ("networkID=a", NETWORK_ID),
            ("network_id=a", NETWORK_ID),
            ("network=a", NETWORK_ID),
            ("netwrokId=a", NETWORK_ID),
            ("Limit=5", LIMIT),
            ("limits=5", LIMIT),
            ("stores=a", STORE),
            ("storeId=a", STORE),
            ("turncapable=true", TURN_CAPABLE),
            ("include-stores", INCLUDE_STORES),
            ("protocolVersion=1", VERSION),
            ("includeCapability", INCLUDE_CAPABILITIES),
            ("includeCapabilty=1", INCLUDE_CAPABILITIES),
            ("with_capabilities=1", INCLUDE_CAPABILITIES),
            ("include_store=1", INCLUDE_STORES),
            ("withStores=1", INCLUDE_STORES),
            ("isTurn=true", TURN_CAPABLE),
            ("turn=true", TURN_CAPABLE),
            ("turn-only", TURN_CAPABLE),
            ("hasTurnServer=1", TURN_CAPABLE),
            ("isBootstrap=1", BOOTSTRAP_CAPABLE),
            ("bootstrap_node=1", BOOTSTRAP_CAPABLE),
            ("bootstrapCapabel=1", BOOTSTRAP_CAPABLE),
            ("net=testnet", NETWORK_ID),
            ("chain_id=1", NETWORK_ID),
            ("NETWORK-NAME=a", NETWORK_ID),
            ("max=5", LIMIT),
            ("per_page=5", LIMIT),
            ("nextCursor=a", CURSOR),
            ("excludePeer=a", EXCLUDE),
            ("except=a", EXCLUDE),
        ] {
            let error = parse(given).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(meant), "{given}");
            assert!(error.message.contains(meant), "{}", error.message);
        }
        for ignored in [
            "_=123",
            "t=1",
            "page=2",
            "apiKey=x",
            "session=1",
            "%3Cscript%3E=1",
            "utm_source=a",
            "utm_campaign=a",
            "cb=1",
            "callback=a",
            "v=2",
            "ts=1",
            "nocache",
            "format=json",
            "pretty",
            "fbclid=a",
            "ref=a",
            "token=a",
            "sort=asc",
            "apiVersion=2",
            "timestamp=1",
            "debug=1",
            "lang=en",
        ] {
            assert_eq!(parse(ignored), Ok(PeersQuery::default()), "{ignored}");
        }
    }

    #[test]
    fn a_parameter_may_be_repeated_with_the_same_value_only() {
        assert_eq!(parse("limit=2&limit=2").unwrap().limit, Some(2));
        let error = parse("limit=2&limit=3").unwrap_err();
        assert_eq!(error.field.as_deref(), Some(LIMIT));
    }
}
