//! The second password, proved without sending it (core.telegram.org/api/srp).

use grammers_crypto::two_factor_auth::{calculate_2fa, check_p_and_g};
use grammers_tl_types::{enums, functions, types};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{Login, TRIES, Taken, failed, no_answer, no_better_answer};
use crate::source::telegram::error::TelegramError;

impl Login<'_> {
    pub(super) async fn password(&mut self) -> Result<enums::auth::Authorization, TelegramError> {
        let mut wrong = false;
        let mut given: Option<SecretString> = None;
        for _ in 0..TRIES {
            // Asked anew for each try: its numbers serve once.
            let enums::account::Password::Password(settings) =
                self.client.call(&functions::account::GetPassword {}).await.map_err(|error| failed("asking for the password", error))?;
            let password = match given.take() {
                Some(password) => password,
                None => {
                    let answer = self.prompts.password(settings.hint.as_deref());
                    answer.map_err(|error| if wrong { no_better_answer("password", error) } else { no_answer(error) })?
                }
            };
            let proof = prove(settings, &password)?;
            let (result, lost) = self.step(&functions::auth::CheckPassword { password: proof }).await;
            match result {
                Ok(authorization) => return Ok(authorization),
                Err(error) if error.is_any(&["PASSWORD_HASH_INVALID"]) && !lost => {
                    self.prompts.say("That password is wrong.");
                    wrong = true;
                }
                Err(error) if error.rpc().is_some() && (lost || error.is_any(&["SRP_ID_INVALID"])) => {
                    if let Taken::Whole(authorization) = self.taken_already().await {
                        return Ok(*authorization);
                    }
                    // Its numbers had been used up; the password was not looked at.
                    given = Some(password);
                }
                Err(error) => return Err(failed("checking the password", error)),
            }
        }
        Err(TelegramError::Login("the password was wrong".into()))
    }
}

fn prove(settings: types::account::Password, password: &SecretString) -> Result<enums::InputCheckPasswordSrp, TelegramError> {
    type Algorithm = enums::PasswordKdfAlgo;
    let unusable = |what: &str| TelegramError::Login(format!("Telegram's parameters for the password cannot be used ({what})"));
    let (Some(algorithm), Some(g_b), Some(srp_id)) = (settings.current_algo, settings.srp_b, settings.srp_id) else {
        return Err(unusable("there are none"));
    };
    let Algorithm::Sha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(algorithm) = algorithm else {
        return Err(unusable("a newer method: a newer tgvault is needed"));
    };
    // check_p_and_g panics on a generator outside 2..=7, and the arithmetic on longer numbers.
    if !(2..=7).contains(&algorithm.g) || g_b.len() > 256 || !check_p_and_g(&algorithm.p, &algorithm.g) {
        return Err(unusable("not a safe group"));
    }
    let mut secret = Zeroizing::new(vec![0; 256]);
    getrandom::fill(&mut secret).map_err(|_| unusable("no randomness"))?;
    let (m1, a) = calculate_2fa(
        &algorithm.salt1,
        &algorithm.salt2,
        &algorithm.p,
        &algorithm.g,
        g_b,
        secret.to_vec(),
        password.expose_secret().as_bytes(),
    );
    Ok(types::InputCheckPasswordSrp { srp_id, a: a.to_vec(), m1: m1.to_vec() }.into())
}
