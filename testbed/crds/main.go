// Command crds writes the CustomResourceDefinitions of other projects into a folder, one file each, from the Go packages
// of their APIs:
//
//	Karpenter   the files that its package embeds, which are those of its chart
//	the others  made of the types and their comments by the library of controller-gen, as these projects make them
//
// It asks the go command for the packages, so it runs in the folder of this module. None of them is compiled, which would
// take the SDK of AWS and minutes.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/packages"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/genall"
)

const karpenter = "github.com/aws/karpenter-provider-aws/pkg/apis"

var types = []string{
	"github.com/fluxcd/helm-controller/api/v2",
	"github.com/fluxcd/kustomize-controller/api/v1",
	"github.com/fluxcd/source-controller/api/v1",
	"github.com/kedacore/keda/v2/apis/keda/v1alpha1",
	"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: crds FOLDER")
		os.Exit(2)
	}
	if err := errors.Join(copyEmbedded(karpenter, os.Args[1]), generate(types, os.Args[1])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// copyEmbedded copies the files that a package embeds.
func copyEmbedded(path, folder string) error {
	// Without NeedFiles their paths are not absolute.
	found, err := packages.Load(&packages.Config{Mode: packages.NeedFiles | packages.NeedEmbedFiles}, path)
	if err != nil {
		return err
	}
	if failed := found[0].Errors; len(failed) > 0 {
		return failed[0]
	}
	for _, file := range found[0].EmbedFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate makes definitions of all kinds in these packages.
func generate(paths []string, folder string) error {
	// KEDA's option; nothing of Flux has metadata inside of a spec.
	yes := true
	var generator genall.Generator = crd.Generator{GenerateEmbeddedObjectMeta: &yes}
	run, err := genall.Generators{&generator}.ForRoots(paths...)
	if err != nil {
		return err
	}
	run.OutputRules.Default = genall.OutputToDirectory(folder)
	if failed := run.Run(); failed {
		return errors.New("definitions could not be made of the types")
	}
	return nil
}
