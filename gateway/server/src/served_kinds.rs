//! Which kinds of calls a model serves, and what a client is told that asks a model for another
//! kind.

use super::flight::Flight;
use callgate_call::Target;
use callgate_deployments::Group;
use callgate_failure::Failure;
use callgate_providers::CallKind;

/// The kind of request that the deployment gets for the call. Refuses a call of a kind that it does
/// not serve.
pub(super) fn check(flight: &mut Flight, target: &Target) -> Result<CallKind, Failure> {
    let (_, chain, call) = flight.parts();
    let kind = call.kind;
    if kind != CallKind::Chat && call.stream && chain.buffers_stream_of(call) {
        return Err(Failure::stream_cannot_be_held(kind.path()));
    }
    if let Some(sent_as) = target.deployment().sent_as(kind) {
        return Ok(sent_as);
    }
    let model = call.model().to_owned();
    Err(refused(flight, kind, &model, &target.deployment().label))
}

/// The failure, which names the models that the client may use instead.
#[cold]
fn refused(flight: &Flight, kind: CallKind, model: &str, provider: &str) -> Failure {
    let (deployments, holder) = (&flight.app.deployments, flight.record.holder.as_deref());
    let can = |name: &&str| {
        let group = deployments.resolve(name);
        let mut of_group = group.iter().flat_map(Group::deployments);
        holder.is_none_or(|holder| holder.may_call(name, deployments))
            && of_group.any(|it| it.unserved.is_none() && it.serves(kind))
    };
    // What a caller sees is then a callback's to say, and takes a hook.
    let hidden = flight.chain.lists_models();
    let names = deployments.models().iter().map(|name| &**name);
    let others: Vec<_> = names.filter(can).collect();
    Failure::endpoint_not_served(model, provider, kind.path(), (!hidden).then_some(&others))
}
