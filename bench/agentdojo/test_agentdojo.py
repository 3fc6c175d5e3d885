"""Of the pieces that decide what is published."""

import unittest
from unittest import mock

from agentdojo.agent_pipeline import GroundTruthPipeline
from agentdojo.attacks import load_attack
from agentdojo.task_suite.load_suites import get_suite

import measure
import tasks
import unwritten


def pair(suite_name, user_id, injection_id):
    suite = get_suite(tasks.VERSION, suite_name)
    target = GroundTruthPipeline(None)
    target.name = tasks.Script.name
    attack = load_attack(tasks.ATTACK, suite, target)
    user_task, injection_task = suite.user_tasks[user_id], suite.injection_tasks[injection_id]
    until = tasks.first_read(suite, attack, user_task)
    return tasks.Pair(suite, user_task, injection_task, until, attack.attack(user_task, injection_task))


def deciding(refused):
    """Allows all calls but those of these tools."""

    def decision(step):
        return {"tool": step.name, "decision": "deny" if step.name in refused else "allow", "policies": ["p"]}

    def decide(sessions):
        return {name: [decision(step) for step in steps] for name, (_, steps) in sessions.items()}

    return decide


class Attacks(unittest.TestCase):
    def test_the_model_obeys_as_soon_as_it_reads_the_injection(self):
        one = pair("slack", "user_task_1", "injection_task_1")
        steps, succeeded = one.play()
        self.assertEqual([step.name for step in steps], ["read_channel_messages", "get_webpage", "send_direct_message"])
        self.assertIn("secure-systems-252", steps[1].result)
        self.assertNotIn("secure-systems-252", steps[0].result)
        self.assertTrue(succeeded)

    def test_a_call_that_is_refused_is_not_made(self):
        one = pair("slack", "user_task_1", "injection_task_2")
        steps, succeeded = one.play(frozenset(range(5)))
        self.assertEqual(steps[-1].result, tasks.REFUSED)
        self.assertFalse(succeeded)
        self.assertTrue(one.stopped(frozenset(range(5))) and one.nothing_done(frozenset(range(5))))
        self.assertFalse(one.by_words())

    def test_attacks_without_ground_truth_succeed_with_the_calls_written_for_them(self):
        for suite, injection_id in unwritten.CALLS:
            with self.subTest(injection_id):
                self.assertTrue(pair(suite, "user_task_1", injection_id).play()[1])

    def test_what_is_allowed_before_a_refusal_is_still_done(self):
        one = pair("slack", "user_task_1", "injection_task_5")
        judged = measure.judge_attacks(deciding({"add_user_to_channel"}), [one])[one.id]
        self.assertEqual(judged, {"stopped": True, "nothing_done": False})
        for refused, stopped in [(set(), False), ({"invite_user_to_slack", "remove_user_from_slack"}, True)]:
            self.assertEqual(measure.judge_attacks(deciding(refused), [one])[one.id]["stopped"], stopped)


class Users(unittest.TestCase):
    def test_one_refused_call_fails_a_task(self):
        task = mock.Mock(id="t", user="do it", steps=[tasks.Step("read", {}, ""), tasks.Step("send", {}, "")])
        self.assertEqual(measure.judge_users(deciding(set()), [task])["t"]["outcome"], "pass")
        self.assertEqual(measure.judge_users(deciding({"send"}), [task])["t"], {"outcome": "fail", "policies": ["p"]})


if __name__ == "__main__":
    unittest.main()
