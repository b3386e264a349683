//! The operator in a real cluster, installed by Helm: API server, controllers, kubelet and
//! containerd, with S3 and SQS beside them. One cluster at a time fits on a machine, so all
//! scenarios share one, each as a test of its own name in namespaces of its own. The first has the
//! cluster for itself, because it reports how long things take. Those that end or change the
//! operator come last. The others run side by side, a few at a time.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod accounts;
#[path = "../integration/admission/cases.rs"]
mod admission;
mod asked;
mod dead_letters;
mod denied;
mod examples;
mod fairness;
mod identity;
mod lifecycle;
mod limits;
mod patience;
mod queue;
mod refused;
mod retry;
mod scene;
mod scratch;
mod source;
mod survival;
mod team;
mod tenancy;
mod trouble;
mod upgrade;
mod verify;

use std::collections::HashMap;
use std::panic;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use libtest_mimic::{Arguments, Failed, Trial};
use scene::Scene;
use tokio::task;

/// Number of scenarios that run at a time. The first ones mostly wait. With many more, moto would be
/// the bottleneck: it answers some 100 requests a second.
const AT_ONCE: usize = 11;

struct Scenario {
    name: &'static str,
    play: fn(Arc<Scene>) -> BoxFuture<'static, ()>,
}

/// A scenario that was not filtered out, and where its result goes.
type Wanted = (Scenario, mpsc::Sender<Result<(), Failed>>);

macro_rules! scenarios {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        vec![$(Scenario {
            name: concat!(stringify!($module), "::", stringify!($name)),
            play: |scene| async move { $module::$name(&scene).await }.boxed(),
        }),+]
    };
}

/// Scenarios that may run side by side, stage after stage.
fn stages() -> Vec<Vec<Scenario>> {
    let first = scenarios![lifecycle::a_run_goes_all_the_way];
    // Those that take long first.
    let others = scenarios![
        survival::a_run_survives_the_killing_of_its_pods,
        lifecycle::a_suspended_run_rests_and_goes_on_without_the_messages_that_it_had,
        retry::objects_that_fail_for_the_time_being_are_tried_again,
        survival::workers_of_a_drained_node_end_in_time_and_no_group_is_redone_twice,
        dead_letters::dead_lettered_groups_are_told_and_put_back_when_asked,
        accounts::a_run_that_does_not_add_up_goes_on_with_repaired_receipts_and_redone_groups,
        queue::a_queue_that_somebody_deletes_is_made_again_and_its_messages_are_sent_again,
        dead_letters::a_run_whose_groups_stay_dead_letters_fails_and_keeps_its_queues,
        queue::queues_that_an_earlier_release_named_are_used_and_deleted,
        lifecycle::a_run_is_deleted_at_any_moment,
        verify::a_damaged_archive_is_found_and_the_run_is_complete_once_its_group_is_redone,
        lifecycle::the_same_run_made_again_is_resumed_and_another_is_refused,
        trouble::objects_that_are_gone_are_counted_by_reason,
        trouble::an_inventory_that_is_not_there_yet_is_waited_for,
        denied::an_inventory_that_is_denied_to_the_grouper_is_named,
        denied::a_destination_that_is_denied_is_named_whoever_meets_it,
        limits::a_run_past_its_deadline_fails_and_time_at_rest_does_not_count,
        tenancy::a_run_that_an_earlier_release_began_goes_on_by_its_claim,
        lifecycle::a_run_that_is_deleted_leaves_its_archives_and_nothing_else,
        trouble::a_service_account_that_is_missing_is_named,
        upgrade::a_run_of_an_earlier_release_keeps_its_pods_until_it_is_asked_to_be_upgraded,
        verify::a_run_is_complete_once_its_checksums_are_verified,
        trouble::a_destination_that_is_not_there_is_named,
        refused::a_deployment_of_somebody_else_is_told_and_left_alone,
        refused::what_the_api_server_takes_and_refuses,
        refused::an_api_server_in_memory_answers_as_the_real_one,
        refused::the_clusters_own_roles_may_what_they_should,
        refused::a_namespace_without_a_policy_of_its_own_is_told,
        examples::examples_are_what_others_understand,
        lifecycle::the_pod_of_helm_test_says_that_the_operator_is_ready,
        lifecycle::a_run_takes_what_its_spec_says_and_writes_it_so,
        lifecycle::a_finished_run_is_deleted_after_its_time,
        source::the_newest_inventory_is_chosen_once_and_kept_however_old_it_becomes,
        source::group_manifests_of_the_original_are_a_source,
        queue::a_queue_that_was_there_is_used_and_stays,
        queue::events_of_s3_bring_the_groups,
        queue::whoever_else_scales_is_let_to_until_the_end,
        queue::keda_is_told_what_to_do,
        identity::pods_without_keys_archive_with_the_role_of_their_service_account,
        trouble::an_image_that_cannot_be_pulled_stalls_the_run,
        trouble::pods_that_fit_nowhere_are_told,
        denied::a_source_that_is_denied_to_the_workers_is_named,
        denied::queues_that_cannot_be_deleted_are_left_behind_when_asked,
        tenancy::a_destination_of_another_team_is_neither_claimed_nor_read,
        limits::pods_that_a_quota_forbids_are_told,
        limits::a_grouper_that_a_quota_forbids_is_told,
        scratch::a_volume_for_the_life_of_a_worker_is_scratch,
        scratch::a_directory_of_the_node_is_scratch_where_the_policy_says_so,
    ];
    // After all others: they end or change the operator that all share.
    let restarts = scenarios![
        survival::runs_in_every_phase_outlive_the_operators_that_work_on_them,
        upgrade::a_run_of_a_later_version_stops_nobody_and_goes_when_asked,
    ];
    // One after another.
    let last = scenarios![
        upgrade::an_upgrade_changes_what_begins_after_it_and_a_strict_one_holds,
        fairness::a_large_run_makes_room_for_another_team_and_ends_its_groups,
        upgrade::a_release_that_is_uninstalled_leaves_runs_that_the_next_one_lets_go,
    ];
    let alone = last.into_iter().map(|scenario| vec![scenario]);
    [first, others, restarts].into_iter().chain(alone).collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let stages: Vec<Vec<Wanted>> = stages()
        .into_iter()
        .map(|scenarios| {
            scenarios
                .into_iter()
                .filter_map(|it| trial(it, &arguments, &mut trials))
                .collect()
        })
        .collect();
    // The harness only waits: when a scenario is played is decided here.
    arguments.test_threads = Some(trials.len());
    let is_playing = !arguments.list && stages.iter().any(|wanted| !wanted.is_empty());
    let playing = is_playing.then(|| {
        thread::spawn(|| {
            tokio::runtime::Runtime::new()
                .unwrap()
                .block_on(play(stages));
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials);
    if playing.is_some_and(|playing| playing.join().is_err()) {
        eprintln!("the cluster was not started, or not stopped");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Adds the test of a scenario; returns the scenario unless the arguments filter it out.
fn trial(scenario: Scenario, arguments: &Arguments, trials: &mut Vec<Trial>) -> Option<Wanted> {
    let (report, reported) = mpsc::channel();
    let missing = |_| {
        Err(Failed::from(
            "it was not played: the cluster failed before it",
        ))
    };
    trials.push(Trial::test(scenario.name, move || {
        reported.recv().unwrap_or_else(missing)
    }));
    let matches = |filter: &String| {
        if arguments.exact {
            scenario.name == filter
        } else {
            scenario.name.contains(filter.as_str())
        }
    };
    let is_wanted =
        arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches);
    is_wanted.then_some((scenario, report))
}

/// Boots the cluster, plays all scenarios, and stops the cluster.
async fn play(stages: Vec<Vec<Wanted>>) {
    let words = LastWords::listen();
    let scene = Arc::new(Scene::start().await);
    for stage in stages {
        let playing = stage.into_iter().map(|(scenario, report)| {
            let (scene, words) = (Arc::clone(&scene), words.clone());
            async move {
                let result = play_one(&scene, &scenario, &words).await;
                // The harness ends early if it is interrupted.
                let _ = report.send(result);
            }
        });
        stream::iter(playing)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }
    Arc::into_inner(scene)
        .unwrap()
        .cluster
        .stop()
        .await
        .unwrap();
}

async fn play_one(
    scene: &Arc<Scene>,
    scenario: &Scenario,
    words: &LastWords,
) -> Result<(), Failed> {
    let begun = Instant::now();
    let teams = Arc::default();
    let ended = tokio::spawn(scene::recording(&teams, (scenario.play)(Arc::clone(scene)))).await;
    println!("{}: {:.1} s", scenario.name, begun.elapsed().as_secs_f64());
    let Err(error) = ended else { return Ok(()) };
    let why = words.of(error.id()).unwrap_or_else(|| error.to_string());
    let names = teams.lock().unwrap().clone();
    let story = scene.story(&names).await;
    scene.delete_runs(&names).await;
    Err(Failed::from(format!("{why}\n\n{story}")))
}

/// What panics said, with the place, by the tasks that they ended.
#[derive(Clone, Default)]
struct LastWords(Arc<Mutex<HashMap<task::Id, String>>>);

impl LastWords {
    /// Hears all panics from now on. No backtraces are printed: the place says it all.
    fn listen() -> Self {
        let words = Self::default();
        let heard = words.clone();
        panic::set_hook(Box::new(move |panic| match task::try_id() {
            Some(task) => drop(heard.0.lock().unwrap().insert(task, panic.to_string())),
            None => eprintln!("{panic}"),
        }));
        words
    }

    fn of(&self, task: task::Id) -> Option<String> {
        self.0.lock().unwrap().remove(&task)
    }
}
