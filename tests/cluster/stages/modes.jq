# A container's mode is its image's tag; a pod's annotation is the mode of all its main containers.
def tag: sub("@.*"; "") | split("/") | last | split(":") | if length > 1 then last else "" end;
def is_job: any(.metadata.ownerReferences[]?; .kind == "Job");
def inits: [.status.initContainerStatuses[]? | . + {mode: (.image | tag)}];
def mains: .metadata.annotations["pipeline.test/pod"] as $chosen
  | [.status.containerStatuses[]? | . + {mode: ($chosen // (.image | tag))}];

# The running containers whose process will end.
def crashes: IN("crash", "fail", "oom", "crash-late");
def ending: is_job as $job
  | [inits[] | select(.state.running and (.mode | crashes))]
  + [mains[] | select(.state.running and (.mode | crashes or . == "complete" or ($job and . != "hang")))];
# Whether one of them has been restarted before, and is to be again: CrashLoopBackOff.
def backing_off: .spec.restartPolicy as $policy
  | any(ending[]; .restartCount > 0 and ($policy == "Always" or ($policy == "OnFailure" and (.mode | crashes))));
# How long they run.
def life: .metadata.annotations["pipeline.test/delay"] as $delay | [ending[].mode]
  | if any(.[]; IN("crash", "fail", "oom")) then "100ms"
    elif any(.[]; IN("slow", "crash-late")) then $delay // "3s"
    else $delay // "300ms" end;
