// Command argo compiles a Kubeflow pipeline (the YAML that kfp's SDK writes) into the Argo Workflow that a Kubeflow
// Pipelines backend would submit to its cluster, with the backend's own compiler: argo PIPELINE.yaml > WORKFLOW.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kubeflow/pipelines/api/v2alpha1/go/pipelinespec"
	"github.com/kubeflow/pipelines/backend/src/v2/compiler/argocompiler"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"gopkg.in/yaml.v3"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: argo PIPELINE.yaml > WORKFLOW.json")
		os.Exit(2)
	}
	if err := compile(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func compile(path string, out io.Writer) error {
	pipeline, platforms, err := read(path)
	if err != nil {
		return err
	}
	giveFinalStatusAsText(pipeline)
	job := &pipelinespec.PipelineJob{PipelineSpec: pipeline}
	workflow, err := argocompiler.Compile(job, platforms.GetPlatforms()["kubernetes"], nil)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(workflow)
}

// giveFinalStatusAsText puts a text in the place of the one input that this version of the compiler refuses ("task final
// status not supported yet"): how the pipeline ended, for an exit task. Backends since 2.5 fill it in.
func giveFinalStatusAsText(value *structpb.Struct) {
	for _, field := range value.GetFields() {
		if inner := field.GetStructValue(); inner != nil {
			if _, found := inner.GetFields()["taskFinalStatus"]; found {
				text, _ := structpb.NewStruct(map[string]any{"runtimeValue": map[string]any{"constant": "final status"}})
				inner.Fields = text.GetFields()
				continue
			}
			giveFinalStatusAsText(inner)
		}
	}
}

// read takes the file apart as the backend's API server does: the first document is the pipeline, the second the
// platforms' settings.
func read(path string) (*structpb.Struct, *pipelinespec.PlatformSpec, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	documents := yaml.NewDecoder(file)

	pipeline := &structpb.Struct{}
	err = decode(documents, func(document map[string]any) error {
		data, err := json.Marshal(document)
		if err != nil {
			return err
		}
		return pipeline.UnmarshalJSON(data)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: pipeline: %w", path, err)
	}
	platforms := &pipelinespec.PlatformSpec{}
	err = decode(documents, func(document map[string]any) error {
		leaveOutPipelineConfig(document)
		data, err := json.Marshal(document)
		if err != nil {
			return err
		}
		return protojson.Unmarshal(data, platforms)
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("%s: platforms: %w", path, err)
	}
	return pipeline, platforms, nil
}

func decode(documents *yaml.Decoder, take func(map[string]any) error) error {
	var document map[string]any
	if err := documents.Decode(&document); err != nil {
		return err
	}
	return take(document)
}

// leaveOutPipelineConfig takes away the one setting that this version's platform message does not have: a run's time to
// live, `pipelineConfig`, which newer backends read. Any other unknown field still ends the program.
func leaveOutPipelineConfig(document map[string]any) {
	platforms, _ := document["platforms"].(map[string]any)
	for _, platform := range platforms {
		if settings, found := platform.(map[string]any); found {
			delete(settings, "pipelineConfig")
		}
	}
}
