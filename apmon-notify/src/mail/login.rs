//! Logging in to a mail server (RFC 4954).

use apmon_core::{Secret, mask::base64};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac as _};
use md5::Md5;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    dialogue::{Dialogue, Reply},
    error::SmtpError,
    folded,
};

const STEP: &str = "login";

/// How to log in to a mail server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SmtpAuth {
    /// Sends user name and password in one line.
    Plain,
    /// Sends user name and password one after the other.
    Login,
    /// Sends proof that apmon knows the password, but not the password itself.
    CramMd5,
    /// Sends an OAuth 2.0 access token, which is the value of `smtp_password`.
    Xoauth2,
}

/// The mechanisms in the order in which they are tried over TLS, where servers manage the first
/// ones best.
const ENCRYPTED: [SmtpAuth; 4] = [
    SmtpAuth::Plain,
    SmtpAuth::Login,
    SmtpAuth::CramMd5,
    SmtpAuth::Xoauth2,
];

/// The mechanisms in the order in which they are tried in clear text: first the one that does not
/// show the password to those who listen.
const CLEAR: [SmtpAuth; 4] = [
    SmtpAuth::CramMd5,
    SmtpAuth::Plain,
    SmtpAuth::Login,
    SmtpAuth::Xoauth2,
];

impl SmtpAuth {
    /// The name of the mechanism in the protocol.
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

/// A user name and password, or access token.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
}

/// The mechanisms that the lines of an answer to EHLO offer; `AUTH=` is how some servers write
/// it.
pub(super) fn offered(extensions: &[String]) -> Vec<String> {
    let mut offered: Vec<String> = Vec::new();
    for line in extensions {
        let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH")) {
            continue;
        }
        for word in words.map(str::to_ascii_uppercase) {
            if !offered.contains(&word) {
                offered.push(word);
            }
        }
    }
    offered
}

/// The mechanisms to try: the one that is `wanted`, or all that the server offers and for which
/// a password will do. A token is another thing than a password, so that mechanism is chosen
/// without being wanted only if there is no other.
fn candidates(
    offered: &[String],
    wanted: Option<SmtpAuth>,
    is_encrypted: bool,
) -> Result<Vec<SmtpAuth>, SmtpError> {
    let order = if is_encrypted { ENCRYPTED } else { CLEAR };
    let is_offered = |auth: &SmtpAuth| offered.iter().any(|name| name == auth.name());
    let mut found: Vec<SmtpAuth> = match wanted {
        Some(wanted) => [wanted].into_iter().filter(is_offered).collect(),
        None => order.into_iter().filter(is_offered).collect(),
    };
    if found.len() > 1 {
        found.retain(|auth| *auth != SmtpAuth::Xoauth2);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let offer = match offered {
        [] => "no login".to_owned(),
        names => names.join(", "),
    };
    let offer = apmon_core::text::excerpt(&offer, 80);
    Err(SmtpError::Other(match wanted {
        Some(wanted) => format!(
            "{STEP}: the server offers {offer}, but not {}, which smtp_auth demands",
            wanted.name()
        ),
        None => format!(
            "{STEP}: the server offers {offer}, and apmon knows PLAIN, LOGIN, CRAM-MD5 and XOAUTH2; remove \
             smtp_username if it requires no login"
        ),
    }))
}

/// Logs in with the first mechanism that works.
pub(super) async fn log_in(
    dialogue: &mut Dialogue,
    offered: &[String],
    wanted: Option<SmtpAuth>,
    login: &Login,
) -> Result<(), SmtpError> {
    let mut candidates = candidates(offered, wanted, dialogue.is_encrypted())?
        .into_iter()
        .peekable();
    loop {
        let Some(auth) = candidates.next() else {
            return Err(SmtpError::Other(format!("{STEP}: no mechanism is left")));
        };
        let reply = attempt(dialogue, auth, login).await?;
        if reply.is('2') {
            return Ok(());
        }
        // 535: the password is wrong, whatever carries it. Another one would be one more failed
        // login on the server's list. But a server that stores passwords only as hashes can check no
        // proof, and says the same.
        let is_of_mechanism = reply.is('5') && (reply.code != "535" || auth == SmtpAuth::CramMd5);
        if !is_of_mechanism || candidates.peek().is_none() {
            return Err(reply.rejects(STEP));
        }
    }
}

/// The server's last reply to a login.
async fn attempt(dialogue: &mut Dialogue, auth: SmtpAuth, login: &Login) -> Result<Reply, SmtpError> {
    let (user, password) = (&login.user, login.password.reveal());
    let name = auth.name();
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    match auth {
        SmtpAuth::Plain => {
            let both = encoded(&format!("\0{user}\0{password}"));
            dialogue.command(STEP, &format!("AUTH {name} {both}")).await
        }
        SmtpAuth::Login => {
            let mut reply = dialogue.command(STEP, &format!("AUTH {name}")).await?;
            // The server asks for both, in words of its own.
            for answer in [user, password] {
                if !reply.is('3') {
                    break;
                }
                reply = dialogue.command(STEP, &encoded(answer)).await?;
            }
            Ok(reply)
        }
        SmtpAuth::CramMd5 => {
            let reply = dialogue.command(STEP, &format!("AUTH {name}")).await?;
            if !reply.is('3') {
                return Ok(reply);
            }
            let challenge = BASE64_STANDARD.decode(reply.text()).map_err(|_| {
                SmtpError::Other(format!("{STEP}: the server's challenge for {name} is not Base64"))
            })?;
            let digest = cram_md5(password, &challenge);
            dialogue
                .command(STEP, &encoded(&format!("{user} {digest}")))
                .await
        }
        SmtpAuth::Xoauth2 => {
            let bearer = encoded(&bearer(login));
            let reply = dialogue.command(STEP, &format!("AUTH {name} {bearer}")).await?;
            // 334 brings the reason in Base64; the status follows an empty line.
            match reply.is('3') {
                true => dialogue.command(STEP, "").await,
                false => Ok(reply),
            }
        }
    }
}

/// The answer to a challenge (RFC 2195), in hex.
fn cram_md5(password: &str, challenge: &[u8]) -> String {
    let mut mac = Hmac::<Md5>::new_from_slice(password.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(challenge);
    let digest = mac.finalize().into_bytes();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// User and token as XOAUTH2 sends them.
fn bearer(login: &Login) -> String {
    format!(
        "user={}\x01auth=Bearer {}\x01\x01",
        login.user,
        login.password.reveal()
    )
}

impl Login {
    /// Masks the password in the text of a server, which may repeat it, also in the Base64 in
    /// which it was sent, and folded over the lines of a reply.
    pub(super) fn masked(&self, text: &str) -> String {
        let password = self.password.reveal();
        // As PLAIN (RFC 4616) and XOAUTH2 send it, and by itself as LOGIN does.
        let plain = base64(format!("\0{}\0{password}", self.user).as_bytes());
        let bearer = base64(bearer(self).as_bytes());
        let alone = base64(password.as_bytes());
        let secrets = plain
            .into_iter()
            .chain(bearer)
            .chain(alone)
            .chain([password.to_owned()]);
        secrets.fold(text.to_owned(), |text, secret| folded::masked(&text, &secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_answered_as_rfc_2195_says() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(
            cram_md5("tanstaaftanstaaf", challenge),
            "b913a602c7eda7a495b4e6e7334d3890"
        );
    }

    #[test]
    fn the_offer_is_read_as_servers_write_it() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        for (extensions, expected) in [
            (lines(&["SIZE 1", "AUTH PLAIN LOGIN"]), lines(&["PLAIN", "LOGIN"])),
            (lines(&["auth=login"]), lines(&["LOGIN"])),
            (
                lines(&["AUTH GSSAPI  ntlm", "AUTH=LOGIN ntlm"]),
                lines(&["GSSAPI", "NTLM", "LOGIN"]),
            ),
            (lines(&["AUTH"]), lines(&[])),
            (lines(&["AUTHORIZED PLAIN", "STARTTLS"]), lines(&[])),
        ] {
            assert_eq!(offered(&extensions), expected, "{extensions:?}");
        }
    }

    #[test]
    fn a_token_is_sent_only_where_it_is_wanted_or_nothing_else_works() {
        let chosen = |offer: &str, wanted| {
            let offer: Vec<String> = offer.split_whitespace().map(str::to_owned).collect();
            candidates(&offer, wanted, true).map_err(|error| format!("{error:?}"))
        };
        use SmtpAuth::{CramMd5, Login, Plain, Xoauth2};
        assert_eq!(
            chosen("LOGIN XOAUTH2 PLAIN CRAM-MD5", None),
            Ok(vec![Plain, Login, CramMd5])
        );
        let offer = ["PLAIN", "CRAM-MD5", "LOGIN", "XOAUTH2"].map(str::to_owned);
        let clear = candidates(&offer, None, false).map_err(|error| format!("{error:?}"));
        assert_eq!(clear, Ok(vec![CramMd5, Plain, Login]), "in clear text");
        assert_eq!(chosen("LOGIN XOAUTH2", Some(Xoauth2)), Ok(vec![Xoauth2]));
        assert_eq!(chosen("XOAUTH2 GSSAPI", None), Ok(vec![Xoauth2]));
        let error = chosen("GSSAPI NTLM", None).unwrap_err();
        assert!(
            error.contains("the server offers GSSAPI, NTLM, and apmon knows PLAIN"),
            "{error}"
        );
        let error = chosen("PLAIN", Some(CramMd5)).unwrap_err();
        assert!(
            error.contains("offers PLAIN, but not CRAM-MD5, which smtp_auth demands"),
            "{error}"
        );
        let error = chosen("", None).unwrap_err();
        assert!(error.contains("the server offers no login"), "{error}");
    }
}
