//! The carrier's signature on its webhooks: header `X-Twilio-Signature`, base64 of HMAC-SHA1 by the auth token over the address
//! that was called and every form parameter, sorted (Twilio, "Webhooks security").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// Header with the signature.
pub const HEADER: &str = "x-twilio-signature";

/// Signs a webhook.
pub fn sign(token: &[u8], url: &str, form: &[(String, String)]) -> String {
    STANDARD.encode(mac(token, url, form).finalize().into_bytes())
}

/// Whether one of `tokens` signed a webhook (several are accepted while one replaces another). The address is the configured one:
/// what a request says of its own host is not believed.
pub fn verify(
    tokens: &[impl AsRef<[u8]>],
    url: &str,
    form: &[(String, String)],
    signature: &str,
) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else {
        return false;
    };
    tokens.iter().any(|token| {
        mac(token.as_ref(), url, form)
            .verify_slice(&signature)
            .is_ok()
    })
}

fn mac(token: &[u8], url: &str, form: &[(String, String)]) -> Hmac<Sha1> {
    let mut sorted: Vec<&(String, String)> = form.iter().collect();
    sorted.sort();
    // A parameter given twice with one value counts once, as the carrier's own libraries have it.
    sorted.dedup();
    let mut mac = Hmac::<Sha1>::new_from_slice(token).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The example of Twilio's documentation ("Validating signatures from Twilio").
    #[test]
    fn the_documented_example_verifies() {
        let url = "https://example.com/myapp.php?foo=1&bar=2";
        let form = form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675310"),
            ("Digits", "1234"),
            ("From", "+14158675310"),
            ("To", "+18005551212"),
        ]);
        assert_eq!(sign(b"12345", url, &form), "L/OH5YylLD5NRKLltdqwSvS0BnU=");
    }

    #[test]
    fn attack_a_webhook_changed_in_any_part_is_refused() {
        let url = "https://texts.example/v1/carriers/a/inbound";
        let good = form(&[
            ("Body", "YES K7"),
            ("From", "+14155550132"),
            ("MessageSid", "SM1"),
        ]);
        let signature = sign(b"token", url, &good);
        assert!(verify(&["old", "token"], url, &good, &signature));
        assert!(!verify(&["old"], url, &good, &signature), "another token");
        assert!(!verify(
            &["token"],
            "https://texts.example/v1/carriers/b/inbound",
            &good,
            &signature
        ));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at].1.push('x');
            assert!(!verify(&["token"], url, &changed, &signature));
        }
        let mut more = good.clone();
        more.push(("OptOutType".to_owned(), "START".to_owned()));
        assert!(!verify(&["token"], url, &more, &signature));
        assert!(!verify(&["token"], url, &good, ""));
        assert!(!verify(&["token"], url, &good, "not base64"));
        assert!(
            !verify(&[] as &[&str], url, &good, &signature),
            "no token, no webhook"
        );
    }
}
