//! The server's own description.

use grammers_tl_types::{Deserializable, Serializable, enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};

pub(super) fn get_config(call: &mut Call<'_>, _: f::help::GetConfig) -> Result<enums::Config, Refusal> {
    // Flags, dates, test_mode, this_dc, an empty list of DCs, and zeros for the many numbers and texts.
    let mut zeros = vec![0; 12];
    false.serialize(&mut zeros);
    zeros.extend([0; 4]);
    Vec::<i32>::new().serialize(&mut zeros);
    zeros.extend([0; 200]);
    let mut config = types::Config::from_bytes(&zeros).map_err(|_| Refusal::new(500, "CONFIG_UNREADABLE"))?;
    config.date = call.now;
    config.expires = call.now + 3600;
    config.this_dc = call.dc;
    config.chat_size_max = 200;
    config.megagroup_size_max = 200_000;
    config.message_length_max = 4096;
    config.caption_length_max = 1024;
    config.me_url_prefix = "https://t.me/".into();
    config.dc_options = call
        .shared
        .dcs
        .iter()
        .map(|(id, address)| {
            types::DcOption {
                ipv6: false,
                media_only: false,
                tcpo_only: false,
                cdn: false,
                r#static: true,
                this_port_only: false,
                id: *id,
                ip_address: address.ip().to_string(),
                port: address.port().into(),
                secret: None,
            }
            .into()
        })
        .collect();
    Ok(config.into())
}

pub(super) fn get_nearest_dc(call: &mut Call<'_>, _: f::help::GetNearestDc) -> Result<enums::NearestDc, Refusal> {
    Ok(types::NearestDc { country: "XX".into(), this_dc: call.dc, nearest_dc: call.shared.home() }.into())
}
