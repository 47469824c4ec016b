//! The agent that a monitor queries, and its credentials: the options that all kinds of
//! this crate share.

use std::sync::Arc;

use apmon_core::{
    Secret,
    config::{Host, Remote, Section},
    input_file::{InputFileError, read_text_file},
};
use apmon_snmp_client::{
    Credentials, User,
    usm::{AuthProtocol, PrivProtocol},
};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The UDP port on which agents listen (RFC 3417, section 3.2).
const SNMP_PORT: u16 = 161;

/// The community of a device in its factory configuration.
const DEFAULT_COMMUNITY: &str = "public";

/// The length of the shortest password (RFC 3414, section 11.2): shorter ones are
/// insecure, and agents refuse them.
const SHORTEST_PASSWORD: usize = 8;

/// The largest file accepted as a secret, in bytes: a larger one is another file given by
/// mistake.
const LONGEST_SECRET: u64 = 4_096;

/// Options of every kind that asks an SNMP agent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct AgentOptions {
    /// Community for SNMPv1 and v2c. It can also be given in the address
    /// (`snmp://community@host`). Default public.
    #[schemars(length(min = 1))]
    pub community: Option<Secret>,
    /// Path of a file that contains the community, relative to the site file. A
    /// newline at its end is ignored. (An addition.)
    pub community_file: Option<String>,
    /// SNMP version: 1, 2c or 3. Default: 3 if `user` is set, else 2c. (An
    /// addition.)
    pub version: Option<Version>,
    /// SNMPv3 user. Without `auth_password` its requests are not signed
    /// (noAuthNoPriv). With it they are signed (authNoPriv); if `priv_password` is
    /// set as well, they are also encrypted (authPriv). A request that the agent
    /// refuses is never repeated in clear text. (An addition.)
    #[schemars(length(min = 1, max = 32))]
    pub user: Option<String>,
    /// Protocol that signs the user's messages: md5, sha1, sha224, sha256, sha384
    /// or sha512, as configured on the agent. Required with `auth_password`. (An
    /// addition.)
    pub auth_protocol: Option<AuthProtocol>,
    /// Password for signing, at least 8 characters; better kept in a file or the
    /// environment. (An addition.)
    #[schemars(length(min = 8))]
    pub auth_password: Option<Secret>,
    /// Path of a file that contains `auth_password`, relative to the site file. (An
    /// addition.)
    pub auth_password_file: Option<String>,
    /// Protocol that encrypts the user's messages: des, aes128, aes192 or aes256,
    /// or aes192c or aes256c for keys derived as Cisco and others do it. Required
    /// with `priv_password`. (An addition.)
    pub priv_protocol: Option<PrivProtocol>,
    /// Password for encryption, at least 8 characters. (An addition.)
    #[schemars(length(min = 8))]
    pub priv_password: Option<Secret>,
    /// Path of a file that contains `priv_password`, relative to the site file. (An
    /// addition.)
    pub priv_password_file: Option<String>,
    /// SNMPv3 context to query; few agents have any. Default: the agent's default
    /// context. (An addition.)
    pub context: Option<String>,
}

/// Serializes nothing: the credentials in force are added to the checksum separately
/// ([`Section::depends_on`]), so that writing out a default does not change it.
impl Serialize for AgentOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// An SNMP version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, JsonSchema)]
pub enum Version {
    /// RFC 1157.
    #[schemars(rename = "1")]
    V1,
    /// RFC 1901.
    #[schemars(rename = "2c")]
    V2c,
    /// RFC 3410.
    #[schemars(rename = "3")]
    V3,
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.to_ascii_lowercase().as_str() {
            "1" | "v1" => Ok(Self::V1),
            "2" | "2c" | "v2" | "v2c" => Ok(Self::V2c),
            "3" | "v3" => Ok(Self::V3),
            _ => Err(D::Error::custom(format!(
                "must be 1, 2c or 3, not \"{}\"",
                apmon_core::text::excerpt(&text, 40)
            ))),
        }
    }
}

/// An SNMP agent, and the credentials with which it is queried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The host that runs the agent.
    pub remote: Remote,
    /// The agent's UDP port.
    pub port: u16,
    /// The version of SNMP, and the community or user.
    pub credentials: Arc<Credentials>,
}

impl Target {
    /// Reads a target from a monitor's address (`snmp://host`, `snmp://host:1161`,
    /// `snmp://community@host`) and options. Errors are added to `section`.
    pub fn read(section: &mut Section<'_>, options: AgentOptions) -> Option<Self> {
        let parsed = AgentAddress::read(section);
        let in_address = parsed.as_ref().and_then(|parsed| parsed.community.clone());
        let credentials = read_credentials(section, options, in_address);
        let (parsed, credentials) = (parsed?, credentials?);
        note(section, &credentials);
        Some(Self {
            remote: Remote::read(section, parsed.host)?,
            port: parsed.port,
            credentials: Arc::new(credentials),
        })
    }
}

/// Adds the credentials in force to the checksum. Secrets are hashed.
fn note(section: &mut Section<'_>, credentials: &Credentials) {
    match credentials {
        Credentials::V1(community) => section.depends_on((1, hashed(community))),
        Credentials::V2c(community) => section.depends_on((2, hashed(community))),
        Credentials::V3(user) => {
            let key = |protocol: String, password| (protocol, hashed(password));
            let auth = user
                .auth
                .as_ref()
                .map(|(protocol, password)| key(protocol.to_string(), password));
            let privacy = user
                .privacy
                .as_ref()
                .map(|(protocol, password)| key(protocol.to_string(), password));
            section.depends_on((3, &user.name, auth, privacy, &user.context));
        }
    }
}

/// Converts a secret to the client's type.
fn revealed(secret: &Secret) -> apmon_snmp_client::Secret {
    apmon_snmp_client::Secret::new(secret.reveal())
}

/// Converts the client's secret to the type that is hashed into checksums.
fn hashed(secret: &apmon_snmp_client::Secret) -> Secret {
    Secret::new(secret.reveal())
}

/// The parsed address of an agent.
struct AgentAddress {
    host: Host,
    port: u16,
    community: Option<Secret>,
}

impl AgentAddress {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let url = section.address_url(&["snmp"])?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            section.error(
                "address",
                "must end with the host or the port: an SNMP address has no path",
            );
            return None;
        }
        if url.password().is_some() {
            section.error(
                "address",
                "has a colon in the community before the @; write it as %3A",
            );
            return None;
        }
        let community = match url.username() {
            "" if section.address().contains('@') => {
                section.error(
                    "address",
                    "has an empty community before the @; give one or remove the @",
                );
                return None;
            }
            "" => None,
            encoded => match percent_decode_str(encoded).decode_utf8() {
                Ok(decoded) => Some(Secret::new(decoded)),
                Err(_) => {
                    section.error(
                        "address",
                        "has a community that is not UTF-8 once %-escapes are decoded",
                    );
                    return None;
                }
            },
        };
        Some(Self {
            host: Host::parse(url.host_str()?)?,
            port: url.port().unwrap_or(SNMP_PORT),
            community,
        })
    }
}

fn read_credentials(
    section: &mut Section<'_>,
    options: AgentOptions,
    in_address: Option<Secret>,
) -> Option<Credentials> {
    let by_default = match options.user {
        Some(_) => Version::V3,
        None => Version::V2c,
    };
    match options.version.unwrap_or(by_default) {
        Version::V1 => {
            let community = read_community(section, options, in_address, "1")?;
            Some(Credentials::V1(revealed(&community)))
        }
        Version::V2c => {
            let community = read_community(section, options, in_address, "2c")?;
            Some(Credentials::V2c(revealed(&community)))
        }
        Version::V3 => read_user(section, options, in_address.is_some()).map(Credentials::V3),
    }
}

fn read_community(
    section: &mut Section<'_>,
    options: AgentOptions,
    in_address: Option<Secret>,
    version: &str,
) -> Option<Secret> {
    let mut is_right = true;
    for key in [
        "user",
        "auth_protocol",
        "auth_password",
        "auth_password_file",
        "priv_protocol",
        "priv_password",
        "priv_password_file",
        "context",
    ] {
        if section.has(key) {
            section.misplaced(
                key,
                format!("requires version 3, not {version}; remove it or set version: 3"),
            );
            is_right = false;
        }
    }
    let community = read_secret(
        section,
        ("community", options.community),
        ("community_file", options.community_file),
    )?;
    if in_address.is_some() && community.is_some() {
        let key = if section.has("community") {
            "community"
        } else {
            "community_file"
        };
        section.misplaced(
            key,
            "cannot be combined with a community in the address; remove one of them",
        );
        return None;
    }
    if section.has("community")
        && community
            .as_ref()
            .is_some_and(|community| community.reveal() == DEFAULT_COMMUNITY)
    {
        section.hint(
            "community",
            "is public, which attackers try first: anyone who reaches the device can read it; set another one on the device",
        );
    }
    let community = in_address.or(community);
    is_right.then(|| community.unwrap_or_else(|| Secret::new(DEFAULT_COMMUNITY)))
}

fn read_user(section: &mut Section<'_>, options: AgentOptions, has_community: bool) -> Option<User> {
    let mut is_right = true;
    for key in ["community", "community_file"] {
        if section.has(key) {
            section.misplaced(
                key,
                "requires version 1 or 2c; remove it, as version 3 authenticates by user",
            );
            is_right = false;
        }
    }
    if has_community {
        section.error(
            "address",
            "has a community before the @, which requires version 1 or 2c; remove it, as version 3 \
             authenticates by user",
        );
        is_right = false;
    }
    let auth = read_secret(
        section,
        ("auth_password", options.auth_password),
        ("auth_password_file", options.auth_password_file),
    );
    let privacy = read_secret(
        section,
        ("priv_password", options.priv_password),
        ("priv_password_file", options.priv_password_file),
    );
    let auth = read_pair(
        section,
        ("auth_protocol", options.auth_protocol),
        ("auth_password", auth?),
    );
    let privacy = read_pair(
        section,
        ("priv_protocol", options.priv_protocol),
        ("priv_password", privacy?),
    );
    let (auth, privacy) = (auth?, privacy?);
    if privacy.is_some() && auth.is_none() {
        section.misplaced(
            "priv_protocol",
            "requires auth_protocol and auth_password: SNMPv3 encrypts only messages that are signed",
        );
        return None;
    }
    let name = match options.user {
        Some(name) if name.is_empty() || name.len() > 32 => {
            section.error("user", format!("must be 1 to 32 bytes long, not {}", name.len()));
            return None;
        }
        name => section.require("user", name)?,
    };
    is_right.then(|| User {
        name,
        auth: auth.map(|(protocol, password)| (protocol, revealed(&password))),
        privacy: privacy.map(|(protocol, password)| (protocol, revealed(&password))),
        context: options.context.unwrap_or_default(),
    })
}

/// Reads a protocol and its password, which are given both or not at all.
#[allow(clippy::option_option)] // wrong, absent, there
fn read_pair<P>(
    section: &mut Section<'_>,
    (protocol_key, protocol): (&str, Option<P>),
    (password_key, password): (&str, Option<Secret>),
) -> Option<Option<(P, Secret)>> {
    let given = if section.has(password_key) {
        password_key.to_owned()
    } else {
        format!("{password_key}_file")
    };
    match (protocol, password) {
        (None, None) if section.is_wrong(protocol_key) => None,
        (None, None) => Some(None),
        (Some(protocol), Some(password)) => {
            if password.reveal().chars().count() < SHORTEST_PASSWORD {
                section.error(
                    &given,
                    format!("must be at least {SHORTEST_PASSWORD} characters long"),
                );
                return None;
            }
            Some(Some((protocol, password)))
        }
        (None, Some(_)) => {
            if !section.is_wrong(protocol_key) {
                section.misplaced(&given, format!("requires {protocol_key}; set both or neither"));
            }
            None
        }
        (Some(_), None) => {
            section.misplaced(
                protocol_key,
                format!("requires {password_key}; set both or neither"),
            );
            None
        }
    }
}

/// Reads a secret, given directly or as the name of a file that holds it.
#[allow(clippy::option_option)] // wrong, absent, there
fn read_secret(
    section: &mut Section<'_>,
    (key, value): (&str, Option<Secret>),
    (file_key, file): (&str, Option<String>),
) -> Option<Option<Secret>> {
    if section.is_wrong(key) || section.is_wrong(file_key) {
        return None;
    }
    let (secret, key) = match (value, file) {
        (None, None) => return Some(None),
        (Some(_), Some(_)) => {
            section.misplaced(
                file_key,
                format!("cannot be combined with {key}; remove one of them"),
            );
            return None;
        }
        (Some(secret), None) => (secret, key),
        (None, Some(file)) => {
            let path = section.path(&file);
            let read = read_text_file(&path, LONGEST_SECRET).map_err(|error| match error {
                InputFileError::TooLarge { limit, .. } => {
                    format!("larger than {limit} bytes; give a file that holds only the secret")
                }
                other => other.to_string(),
            });
            match read {
                Ok(text) => {
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    (Secret::new(text.strip_suffix('\r').unwrap_or(text)), file_key)
                }
                Err(error) => {
                    section.error(file_key, format!("cannot be read: {}: {error}", path.display()));
                    return None;
                }
            }
        }
    };
    if secret.reveal().is_empty() {
        section.error(key, "must not be empty");
        return None;
    }
    section.add_secret(&secret);
    Some(Some(secret))
}
