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
	"github.com/kubeflow/pipelines/backend/src/apiserver/config/proxy"
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
	proxy.InitializeConfigWithEmptyForTests() // it would hand an API server's proxies on to the drivers
	job := &pipelinespec.PipelineJob{PipelineSpec: pipeline}
	workflow, err := argocompiler.Compile(job, platforms.GetPlatforms()["kubernetes"], nil)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(workflow)
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
		leaveOutNewerFields(document)
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

// newerFields are the settings of our pipelines that kubernetes_platform at the version in go.mod does not have: it is the
// newest that the module proxy serves, and older than the compiler, which reads them strictly. Most say a name a second
// time, as a parameter. Any other unknown field ends the program.
var newerFields = []string{
	"configMapNameParameter", "pvcNameParameter", "secretNameParameter", "optional", "securityContext", "subPath",
}

func leaveOutNewerFields(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, field := range newerFields {
			delete(value, field)
		}
		for _, inner := range value {
			leaveOutNewerFields(inner)
		}
	case []any:
		for _, inner := range value {
			leaveOutNewerFields(inner)
		}
	}
}
