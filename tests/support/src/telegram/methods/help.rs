//! The server's own description.

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::Blank;

pub(super) fn get_config(call: &mut Call<'_>, _: f::help::GetConfig) -> Result<enums::Config, Refusal> {
    // Flags, dates, test_mode, this_dc, an empty list of DCs, and zeros for the many numbers and texts.
    let dcs: Vec<enums::DcOption> = Vec::new();
    let mut config: types::Config = Blank::zeros(12).object(&false).more(4).object(&dcs).more(200).build();
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

pub(super) fn update_status(_: &mut Call<'_>, _: f::account::UpdateStatus) -> Result<bool, Refusal> {
    Ok(true)
}
