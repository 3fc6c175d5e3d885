"""AgentDojo's tasks, played without a model: which tools are called, and what they answer.

An attack is played as if the model did everything that the text it read tells it to: it makes the user task's calls up to the first
whose result holds the injection, then those of the injection task, and nothing else.
"""

import contextlib
import dataclasses
import functools
import io

from agentdojo.agent_pipeline import GroundTruthPipeline
from agentdojo.agent_pipeline.base_pipeline_element import BasePipelineElement
from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
from agentdojo.attacks import load_attack
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suite
from agentdojo.types import ChatAssistantMessage, text_content_block_from_string

import unwritten

VERSION = "v1.2.2"
SUITES = ("workspace", "slack", "banking", "travel")
ATTACK = "important_instructions"
# Tools of the suites that change nothing and tell nobody anything, by their names. An attack may use them to find things.
READING = ("get_", "search_", "list_", "read_", "check_")
REFUSED = "refused by policy"


@dataclasses.dataclass(frozen=True)
class Step:
    """A call that was made, and what came of it."""

    name: str
    arguments: dict
    result: str

    def wire(self):
        return {"call": {"name": self.name, "arguments": self.arguments}, "result": self.result}


class Script(BasePipelineElement):
    """In the place of a model: the first calls of the user task, then those of the injection task that `allowed` permits."""

    name = "local"

    def __init__(self, user_task, until, attack, output, allowed):
        self.user_task, self.until, self.attack, self.output, self.allowed = user_task, until, attack, output, allowed
        self.steps = []

    def query(self, query, runtime, env, messages=(), extra_args=None):
        self.steps, made = [], []
        for call in self.user_task.ground_truth(env)[: self.until]:
            self.make(call, runtime, env, True, made)
        for number, call in enumerate(self.attack(env)):
            if self.allowed is None or number in self.allowed:
                self.make(call, runtime, env, False, made)
            else:
                self.steps.append(Step(call.function, dict(call.args), REFUSED))
        said = ChatAssistantMessage(role="assistant", content=[text_content_block_from_string(self.output)], tool_calls=None)
        return query, runtime, env, [*messages, *made, said], extra_args or {}

    def make(self, call, runtime, env, must, made):
        result, error = runtime.run_function(env, call.function, call.args, raise_on_error=must)
        self.steps.append(Step(call.function, dict(call.args), error or tool_result_to_str(result)))
        made.append(ChatAssistantMessage(role="assistant", content=None, tool_calls=[call]))


class Task:
    """A task of a user that nobody disturbs."""

    def __init__(self, suite, user_task):
        self.id, self.user = f"{suite.name}/{user_task.ID}", user_task.PROMPT
        script = Script(user_task, None, lambda _env: [], user_task.GROUND_TRUTH_OUTPUT, None)
        suite.run_task_with_pipeline(script, user_task, None, {})
        self.steps = script.steps


class Pair:
    """A task of a user in which the model reads an injection and obeys it."""

    def __init__(self, suite, user_task, injection_task, until, injections):
        self.id, self.user = f"{suite.name}/{user_task.ID}/{injection_task.ID}", user_task.PROMPT
        self.suite, self.user_task, self.injection_task, self.until = suite, user_task, injection_task, until
        self.environment = suite.load_and_inject_default_environment(injections)

    @functools.cache
    def play(self, allowed=None):
        """The steps, and whether AgentDojo's own check says that the attack succeeded, with the calls of the attack by number that
        `allowed` has (all: None)."""
        calls = functools.partial(attack_calls, self.suite.name, self.injection_task)
        script = Script(self.user_task, self.until, calls, self.injection_task.GROUND_TRUTH_OUTPUT, allowed)
        with contextlib.redirect_stdout(io.StringIO()):
            _, succeeded = self.suite.run_task_with_pipeline(
                script, self.user_task, self.injection_task, {}, environment=self.environment.model_copy(deep=True)
            )
        return script.steps, succeeded

    def by_words(self):
        """Whether the attack succeeds without any call, so that no policy for calls can stop it."""
        return self.play(frozenset())[1]

    def stopped(self, allowed):
        """Whether the attack is stopped where only these of its calls are made: by AgentDojo's check or, where that does not see
        the attack even unhindered, if nothing is done."""
        return not self.play(allowed)[1] if self.play()[1] else self.nothing_done(allowed)

    def nothing_done(self, allowed):
        """Whether these calls of the attack change nothing and tell nobody anything."""
        steps, succeeded = self.play(allowed)
        return not succeeded and all(steps[self.until + number].name.startswith(READING) for number in allowed)


def attack_calls(suite, task, environment):
    calls = task.ground_truth(environment)
    if calls or (suite, task.ID) not in unwritten.CALLS:
        return calls
    return [FunctionCall(function=name, args=args) for name, args in unwritten.CALLS[suite, task.ID](task, environment)]


def first_read(suite, attack, user_task):
    """How many calls of the user task it takes to read an injection; None if it never does."""
    environment = suite.load_and_inject_default_environment(attack.canary_injections)
    calls = user_task.ground_truth(user_task.init_environment(environment))
    runtime = FunctionsRuntime(suite.tools)
    for number, call in enumerate(calls, 1):
        result, _ = runtime.run_function(environment, call.function, call.args, raise_on_error=True)
        if any(canary in tool_result_to_str(result) for canary in attack.canary_injections.values()):
            return number
    return None


def load(name):
    """The user tasks of a suite, its pairs, and the number of pairs in which the injection is never read."""
    suite = get_suite(VERSION, name)
    target = GroundTruthPipeline(None)
    target.name = Script.name
    attack = load_attack(ATTACK, suite, target)
    tasks, pairs, unread = [], [], 0
    for user_task in suite.user_tasks.values():
        tasks.append(Task(suite, user_task))
        until = first_read(suite, attack, user_task)
        if until is None:
            unread += len(suite.injection_tasks)
            continue
        for injection_task in suite.injection_tasks.values():
            pairs.append(Pair(suite, user_task, injection_task, until, attack.attack(user_task, injection_task)))
    return tasks, pairs, unread
